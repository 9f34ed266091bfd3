update sluice.task_run
set state = 'cancelled', reason = 'the run was cancelled', finished_at = clock_timestamp(), not_before = null
where run_id = $1 and state in ('waiting', 'queued');
