-- Leaves out the items of a marked task that have not begun.
update sluice.task_run
set state = 'skipped', reason = $3, not_before = null, finished_at = clock_timestamp()
where run_id = $1 and parent = $2 and state = 'queued'
returning task;
