update sluice.dag_run
set state = $3, tasks_open = tasks_open + $2, finished_at = null, cancel_requested_at = null
where run_id = $1
returning pg_notify('sluice_queue', '')::text;
