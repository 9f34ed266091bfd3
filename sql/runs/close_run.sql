update sluice.dag_run
set state = $2, reason = coalesce($3, reason), finished_at = clock_timestamp()
where run_id = $1 and state in ('queued', 'running')
returning pg_notify('sluice_run', run_id || ' ' || state)::text;
