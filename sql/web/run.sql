-- One run. $1 run_id.
select run_id, dag, logical_time, state, trigger, created_at, started_at, finished_at, version, params,
       extract(epoch from coalesce(finished_at, now()) - started_at)::float8 as seconds
from sluice.runs
where run_id = $1
