-- State of each task in each of these runs. $1 run_ids.
select run_id, task, kind, state, attempts
from sluice.tasks
where run_id = any($1)
order by run_id, task
