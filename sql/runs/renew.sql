-- Moves leases on; gives the attempts that still hold theirs, and whether their run is to be cancelled.
with held as materialized (
    select a.attempt_id
    from unnest($1::bigint[], $2::bigint[]) as h(attempt_id, token)
    join sluice.attempt a using (attempt_id, token)
    where a.state = 'running'
    order by a.attempt_id
    for no key update of a
)
update sluice.attempt a
set lease_until = clock_timestamp() + make_interval(secs => $3)
from held, sluice.task_run t, sluice.dag_run r
where a.attempt_id = held.attempt_id
  and a.state = 'running'
  and t.task_run_id = a.task_run_id
  and r.run_id = t.run_id
returning a.attempt_id, r.cancel_requested_at is not null and not sluice.survives_cancel(t.trigger_rule) as cancelled;
