-- Runs ever made, by DAG, state and trigger.
select dag, state, trigger, count(*) as runs
from sluice.runs
group by dag, state, trigger
order by dag, state, trigger
