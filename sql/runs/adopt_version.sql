-- Lets a run go on with another version: its tasks as that one plans them, those that are new as if left out, and those
-- that it does not have left out. Its edges were taken away before.
with run as (
    update sluice.dag_run set version = $2, params = $3 where run_id = $1
), planned as (
    select * from unnest($4::text[], $5::text[], $6::text[], $7::smallint[], $8::text[], $9::int[], $10::bool[],
                         $11::int[], $12::text[], $16::text[])
                  with ordinality
                  as t(task, kind, queue, priority, trigger_rule, attempts, repeatable, needs, pool, labels, place)
), tasks as (
    insert into sluice.task_run (run_id, task, kind, queue, labels, priority, rank, trigger_rule, max_attempts, repeatable,
                                 needs_total, needs_open, state, reason, finished_at, pool, admitted)
    select $1, task, kind, queue, string_to_array(labels, ' '), priority, sluice.rank(priority), trigger_rule, attempts, repeatable, needs, 0, 'skipped',
           'version ' || $2 || ' of the DAG brought it, and nobody asked for it', clock_timestamp(), pool, pool is null
    from planned
    order by place
    on conflict (run_id, task) do update
    set kind = excluded.kind, queue = excluded.queue, labels = excluded.labels,
        rank = task_run.rank - (excluded.priority - task_run.priority) * 3600, priority = excluded.priority,
        trigger_rule = excluded.trigger_rule, repeatable = excluded.repeatable, needs_total = excluded.needs_total,
        pool = excluded.pool, admitted = excluded.admitted
), dropped as (
    update sluice.task_run
    set state = 'skipped', reason = 'version ' || $2 || ' of the DAG does not have it'
    where run_id = $1 and task = any ($15)
)
insert into sluice.task_edge (run_id, task, needs)
select $1, task, needs from unnest($13::text[], $14::text[]) as e(task, needs);
