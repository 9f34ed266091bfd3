-- Puts runs under a backfill. What makes up for the past, or does it again, is late from the start: it has no deadlines.
with runs as (
    update sluice.dag_run set backfill_id = $1, deadline_at = null where run_id = any ($2) returning run_id
)
update sluice.task_run t
set deadline_at = null
from runs
where t.run_id = runs.run_id and t.deadline_at is not null;
