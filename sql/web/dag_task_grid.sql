-- State of each task in each of these runs, without the items of mapped ones. $1 run_ids.
select run_id, task, kind, state, attempts
from sluice.tasks
where run_id = any($1) and task not like '%]'
order by run_id, task
