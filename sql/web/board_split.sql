-- The keys of an aggregate with the greatest sums since $2, greatest first. $1 agg, $3 how many.
select w.key, sum(w.sum) as revenue, sum(w.events)::bigint as orders
from (select distinct stream from sluice.stream_progress) p
join sluice.windows w on w.stream = p.stream and w.agg = $1 and w.window_start >= $2
group by w.key
order by revenue desc, w.key
limit $3
