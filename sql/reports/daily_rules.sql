-- The five rules that held back the most rows in the day before $1.
select l.dataset, rule, count(*)::bigint as rows
from sluice.quarantined_row as q
join sluice.load_ledger as l using (load_id)
cross join lateral unnest(q.rules) as rule
where l.published_at > $1::timestamptz - interval '1 day' and l.published_at <= $1::timestamptz
group by l.dataset, rule
order by count(*) desc, l.dataset, rule
limit 5
