-- Rows of every load, by dataset, the freshest publication of each, and whether the gate refused the latest batch. A replay
-- of rows that were held back is no fresh data.
select dataset, sum(read)::bigint as read, sum(loaded)::bigint as loaded, sum(quarantined)::bigint as quarantined,
       sum(deduplicated)::bigint as deduplicated,
       extract(epoch from now() - max(published_at) filter (where verdict <> 'failed' and replay_of is null))::float8 as age_seconds,
       coalesce(max(load_id) filter (where replay_of is null) = max(load_id) filter (where verdict = 'failed'), false) as refused
from sluice.loads
group by dataset
order by dataset
