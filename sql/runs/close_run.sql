-- Ends a run. Should nobody have said that it began, it began with its first task.
update sluice.dag_run r
set state = $2, reason = coalesce($3, reason), finished_at = clock_timestamp(),
    started_at = coalesce(r.started_at, (select min(t.started_at) from sluice.task_run t where t.run_id = $1))
where run_id = $1 and state in ('queued', 'running')
returning pg_notify('sluice_run', run_id || ' ' || state)::text;
