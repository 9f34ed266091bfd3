-- Runs ever made, by DAG, state and trigger.
select dag, state, trigger, sum(runs)::bigint as runs
from (
    select dag, state, trigger, count(*) as runs
    from sluice.runs
    group by dag, state, trigger
    union all
    select dag, state, trigger, runs from sluice.counted_runs
) counted
group by dag, state, trigger
order by dag, state, trigger
