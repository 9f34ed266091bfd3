-- The edges of a run's graph. $1 run_id.
select task, needs
from sluice.task_edges
where run_id = $1
order by needs, task
