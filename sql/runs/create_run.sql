-- One run with its tasks and edges, or nothing where the DAG has a run of that logical time already.
with run as (
    insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger, params, tasks_open,
                                state, reason, deadline_at, finished_at, cause, retries_left, only_task)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $22::text, $23, $24, case when $22 = 'skipped' then clock_timestamp() end, $28,
            $29, $30)
    on conflict (dag, logical_time) do nothing
    returning run_id
), tasks as (
    insert into sluice.task_run (run_id, task, kind, queue, labels, priority, rank, trigger_rule, max_attempts, repeatable,
                                 needs_total, needs_open, state, output, reason, pool, admitted, deadline_at,
                                 queued_at, finished_at)
    select run.run_id, t.task, t.kind, t.queue, string_to_array(t.labels, ' '), t.priority, sluice.rank(t.priority),
           t.trigger_rule, t.max_attempts, t.repeatable,
           t.needs, t.needs, t.state, t.output, t.reason, t.pool, t.pool is null,
           clock_timestamp() + make_interval(secs => t.deadline),
           case when t.state = 'queued' then clock_timestamp() end,
           case when t.state in ('success', 'skipped') then clock_timestamp() end
    from run,
         unnest($9::text[], $10::text[], $11::text[], $12::smallint[], $13::text[], $14::int[], $15::bool[],
                $16::int[], $17::text[], $18::jsonb[], $19::text[], $25::text[], $26::float8[], $27::text[])
             with ordinality as t(task, kind, queue, priority, trigger_rule, max_attempts, repeatable, needs, state,
                                  output, reason, pool, deadline, labels, place)
    order by t.place
), edges as (
    insert into sluice.task_edge (run_id, task, needs)
    select run.run_id, e.task, e.needs
    from run, unnest($20::text[], $21::text[]) as e(task, needs)
)
select run_id, pg_notify('sluice_queue', '')::text as told from run;
