-- Moves leases on; gives the attempts that still hold theirs, and whether their run is to be cancelled.
update sluice.attempt a
set lease_until = clock_timestamp() + make_interval(secs => $3)
from unnest($1::bigint[], $2::bigint[]) as h(attempt_id, token), sluice.task_run t, sluice.dag_run r
where a.attempt_id = h.attempt_id
  and a.token = h.token
  and a.state = 'running'
  and t.task_run_id = a.task_run_id
  and r.run_id = t.run_id
returning a.attempt_id, r.cancel_requested_at is not null as cancelled;
