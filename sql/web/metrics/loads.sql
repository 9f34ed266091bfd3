-- Rows of every load, by dataset, and the freshest publication of each.
select dataset, sum(read)::bigint as read, sum(loaded)::bigint as loaded, sum(quarantined)::bigint as quarantined,
       sum(deduplicated)::bigint as deduplicated,
       extract(epoch from now() - max(published_at) filter (where verdict <> 'failed'))::float8 as age_seconds
from sluice.loads
group by dataset
order by dataset
