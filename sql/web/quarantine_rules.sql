-- Which rules held rows back, most rows first. $1 how many.
select q.dataset, rule, count(*) as rows, max(q.load_id) as last_load_id
from sluice.quarantine q
cross join lateral unnest(q.rules) as rule
group by q.dataset, rule
order by rows desc, q.dataset, rule
limit $1
