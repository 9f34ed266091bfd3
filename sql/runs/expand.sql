-- Queues the items of a mapped task ($3), each as a row of its own, and lets the task wait for them. Rows of an earlier list
-- are taken up again, so that their attempts stay. The items take slots of the pool $4, or else of the task's own.
with parent as (
    update sluice.task_run
    set mapped = cardinality($3::jsonb[]), needs_total = cardinality($3), needs_open = cardinality($3), needs_failed = 0,
        needs_skipped = 0
    where run_id = $1 and task = $2
    returning *, coalesce($4, pool) as slots
), items as (
    insert into sluice.task_run as t (run_id, task, parent, place, item, kind, queue, labels, priority, rank, trigger_rule,
                                      max_attempts, repeatable, needs_open, state, pool, admitted, queued_at)
    select p.run_id, format('%s[%s]', p.task, i.place - 1), p.task, i.place - 1, i.item, p.kind, p.queue, p.labels,
           p.priority, p.rank, p.trigger_rule, $5, p.repeatable, 0, 'queued', p.slots, p.slots is null, clock_timestamp()
    from parent p, unnest($3) with ordinality as i(item, place)
    order by i.place
    on conflict (run_id, task) do update
    set item = excluded.item, kind = excluded.kind, queue = excluded.queue, labels = excluded.labels,
        priority = excluded.priority, rank = excluded.rank, trigger_rule = excluded.trigger_rule,
        repeatable = excluded.repeatable, max_attempts = t.attempts + excluded.max_attempts, state = excluded.state,
        pool = excluded.pool, admitted = excluded.admitted, queued_at = excluded.queued_at, output = null, reason = null,
        not_before = null, started_at = null, finished_at = null, marked_by = null, looks = 0
    returning 1
)
update sluice.dag_run r
set tasks_open = r.tasks_open + (select count(*) from items)
where r.run_id = $1
returning pg_notify('sluice_queue', '')::text;
