-- The runs of a DAG that stand before one that waits for its turn.
select run_id, state, logical_time
from sluice.dag_run
where dag = $1 and run_id <> $2 and (state = 'running' or (state = 'queued' and logical_time < $3))
order by state desc, logical_time
limit 5;
