-- Lets a run go on, or wait for its turn again. One that had ended begins a new life: what was said of the former does not
-- hold any more, it has its retries anew, and no deadline that is over already.
update sluice.dag_run r
set state = $3, tasks_open = tasks_open + $2, finished_at = null, cancel_requested_at = null, reason = null,
    started_at = case when $3 <> 'queued' then r.started_at end,
    deadline_at = case when r.finished_at is null or r.deadline_at > clock_timestamp() then r.deadline_at end,
    retries_left = case when r.finished_at is null then r.retries_left
                        else (select (v.plan ->> 'retry_budget')::int from sluice.dag_version v
                              where v.dag = r.dag and v.version = r.version) end
where run_id = $1
returning pg_notify('sluice_queue', '')::text;
