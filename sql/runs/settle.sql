-- Writes what the trigger rules decided, and counts the tasks that ended off their runs. Gives the runs.
with decided as (
    update sluice.task_run t
    set state = d.state,
        reason = d.reason,
        admitted = t.pool is null,
        queued_at = case when d.state = 'queued' then clock_timestamp() end,
        finished_at = case when d.state <> 'queued' then clock_timestamp() end
    from unnest($1::bigint[], $2::text[], $3::text[]) as d(task_run_id, state, reason)
    where t.task_run_id = d.task_run_id and t.state = 'waiting'
    returning d.state
), told as (
    select pg_notify('sluice_queue', '') where exists (select from decided where state = 'queued')
), runs as (
    update sluice.dag_run r
    set tasks_open = r.tasks_open - e.ended
    from unnest($4::bigint[], $5::int[]) as e(run_id, ended)
    where r.run_id = e.run_id
    returning r.run_id, r.tasks_open, r.cancel_requested_at
)
select run_id, tasks_open, cancel_requested_at is not null as cancelled, (select count(*) from told) as told
from runs;
