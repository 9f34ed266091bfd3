-- Ends runs that wait for their turn, with their tasks.
with runs as (
    update sluice.dag_run
    set state = $2, tasks_open = 0, finished_at = clock_timestamp(), cancel_requested_at = clock_timestamp(),
        reason = 'its backfill was stopped'
    where run_id = any ($1) and state = 'queued'
    returning run_id
), tasks as (
    update sluice.task_run t
    set state = $3, reason = 'its backfill was stopped', finished_at = clock_timestamp()
    from runs
    where t.run_id = runs.run_id and t.state = 'waiting'
)
select run_id from runs;
