-- Closes attempts that still hold their token, and moves their tasks on. An attempt that no longer holds it is
-- not in the answer. Locks the runs first and in order: ends in one run take turns, and none waits in a circle.
with ended as (
    select *
    from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::text[], $8::bool[],
                $9::float8[], $10::int[], $11::text[])
             as e(attempt_id, token, attempt_state, task_state, output, error_domain, error, gate, delay, extra, service)
), found as materialized (
    select e.*, t.run_id, t.task_run_id, t.trigger_rule
    from ended e
    join sluice.attempt a using (attempt_id)
    join sluice.task_run t using (task_run_id)
), runs as materialized (
    select run_id, cancel_requested_at
    from sluice.dag_run
    -- A list, so that they are looked up one by one whatever the planner believes of the table.
    where run_id = any (array(select distinct run_id from found))
    order by run_id
    for update
), locked as materialized (
    -- The strongest lock, which waits for a publication of the attempt that is under way. An attempt that ended well
    -- has none: what it published is committed.
    select attempt_id
    from sluice.attempt
    where attempt_id = any (array(select f.attempt_id from found f join runs using (run_id) where f.attempt_state <> 'success'))
    order by attempt_id
    for update
), closed as (
    update sluice.attempt a
    set state = e.attempt_state,
        finished_at = clock_timestamp(),
        error_domain = e.error_domain,
        error = case when e.attempt_state <> 'success' then e.error end,
        gate = e.gate,
        service = e.service
    from found e
    join runs r on r.run_id = e.run_id
    where a.attempt_id = e.attempt_id
      and a.token = e.token
      -- Which is to say that it runs. By its state the planner would take the index of all that run for a short one, and
      -- go through all of it for each end.
      and a.finished_at is null
      and (e.attempt_state = 'success' or a.attempt_id in (select attempt_id from locked))
      -- The reaper may take a lease only once it has run out.
      and (e.attempt_state <> 'lost' or a.lease_until < clock_timestamp())
    returning a.attempt_id, e.task_run_id, e.output, e.error, e.delay, e.extra,
              case when e.task_state in ('queued', 'waiting') and r.cancel_requested_at is not null
                        and not sluice.survives_cancel(e.trigger_rule) then 'cancelled'
                   else e.task_state end as task_state
)
update sluice.task_run t
set state = c.task_state,
    output = case when c.task_state = 'success' then c.output end,
    reason = c.error,
    max_attempts = t.max_attempts + c.extra,
    -- A task that runs again waits for a slot of its pool again.
    admitted = t.pool is null,
    not_before = case when c.task_state = 'queued' and c.delay > 0
                      then clock_timestamp() + make_interval(secs => c.delay) end,
    queued_at = case when c.task_state = 'queued' then clock_timestamp() else t.queued_at end,
    finished_at = case when c.task_state not in ('queued', 'waiting') then clock_timestamp() end
from closed c
where t.task_run_id = c.task_run_id
  and t.finished_at is null
returning c.attempt_id, t.run_id, t.task, t.state, t.pool;
