update sluice.dag_run r
set state = $3, tasks_open = tasks_open + $2, finished_at = null, cancel_requested_at = null,
    retries_left = (select (v.plan ->> 'retry_budget')::int from sluice.dag_version v
                    where v.dag = r.dag and v.version = r.version)
where run_id = $1
returning pg_notify('sluice_queue', '')::text;
