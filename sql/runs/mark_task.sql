-- Puts a task into a state by hand, unless a worker has taken it meanwhile. Gives its pool.
update sluice.task_run
set state = $4, reason = $5, marked_by = $6, output = case when $4 = 'success' then coalesce(output, 'null') end, not_before = null,
    admitted = pool is null, finished_at = clock_timestamp()
where run_id = $1 and task = $2 and state = $3
returning pool;
