-- Ends what has not started: all of it where the run itself has not ($2), else all but what runs though it is cancelled.
update sluice.task_run
set state = 'cancelled', reason = 'the run was cancelled', finished_at = clock_timestamp(), not_before = null
where run_id = $1 and state in ('waiting', 'queued') and ($2 or not sluice.survives_cancel(trigger_rule))
returning task;
