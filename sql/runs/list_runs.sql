select r.run_id, r.dag, r.logical_time, r.state, r.trigger, r.cause, r.version, r.interval_start, r.interval_end, r.created_at,
       r.started_at, r.finished_at, r.params, r.cancel_requested_at is not null as cancel_requested, r.reason,
       t.tasks, t.tasks - r.tasks_open as ended
from sluice.dag_run r
cross join lateral (select count(*) as tasks from sluice.task_run t where t.run_id = r.run_id) t
where ($1::bigint is null or r.run_id = $1)
  and ($2::text is null or r.dag = $2)
  and ($3::text is null or r.state = $3)
order by r.run_id desc
limit $4;
