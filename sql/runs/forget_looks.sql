-- Takes away attempts that were looks in vain, and counts them instead: a task that looks every ten seconds for a day would
-- have 8,640 of them. With its row the token of an attempt is gone, so what it still writes is refused.
with gone as (
    delete from sluice.attempt where attempt_id = any ($1) returning attempt_id, task_run_id
), logs as (
    delete from sluice.task_log where attempt_id = any ($1)
)
update sluice.task_run t
set attempts = t.attempts - 1, looks = t.looks + 1
from gone
where t.task_run_id = gone.task_run_id;
