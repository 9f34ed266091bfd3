with v as (
    insert into sluice.dag_version (dag, version, plan)
    values ('daily_sales', gen_random_uuid()::text, '{}')
    returning dag, version
),
r as (
    insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger, state, tasks_open)
    select dag, version, clock_timestamp(), now(), now(), 'manual', 'running', 1
    from v
    returning run_id
),
t as (
    insert into sluice.task_run (run_id, task, kind, state, needs_open, max_attempts)
    select run_id, 'build', 'transform', 'running', 0, 3
    from r
    returning run_id, task_run_id
),
a as (
    insert into sluice.attempt (task_run_id, attempt, worker, state, lease_until, queued_at)
    select task_run_id, 1, 'test', 'running', now() + interval '1 hour', now()
    from t
    returning attempt_id, token
)
select t.run_id, a.attempt_id, a.token
from t, a
