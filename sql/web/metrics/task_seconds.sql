-- How long finished tasks took, by DAG and kind. `slots` counts those of each bound of the histogram ($1, in
-- seconds, ascending): slot 0 is up to the first bound, the last one beyond the last bound.
select dag, kind, slot, sum(tasks)::bigint as tasks, sum(seconds)::float8 as seconds
from (
    select dag, kind, width_bucket(seconds, $1::float8[]) as slot, 1 as tasks, seconds
    from (
        select dag, kind, extract(epoch from finished_at - started_at)::float8 as seconds
        from sluice.tasks
        where finished_at is not null and started_at is not null
    ) finished
    union all
    select dag, kind, width_bucket(at_least, $1::float8[]), tasks, seconds from sluice.counted_tasks
) placed
group by dag, kind, slot
order by dag, kind, slot
