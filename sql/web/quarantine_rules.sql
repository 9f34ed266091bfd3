-- Which rules held rows back in loads of the last 7 days, most rows first. $1 how many.
select q.dataset, rule, count(*) as rows, max(q.load_id) as last_load_id
from sluice.loads l
-- `offset 0` keeps the step from a load to its own rows a step along their key.
cross join lateral (select dataset, load_id, rules from sluice.quarantine where load_id = l.load_id offset 0) q
cross join lateral unnest(q.rules) as rule
where l.published_at > now() - interval '7 days'
group by q.dataset, rule
order by rows desc, q.dataset, rule
limit $1
