-- Tells the successors of tasks that ended how they ended; gives those whose needs have all ended now.
with ended as (
    select * from unnest($1::bigint[], $2::text[], $3::text[]) as e(run_id, task, state)
), counts as (
    select s.run_id, s.task,
           count(*)::int as ended,
           count(*) filter (where e.state in ('failed', 'upstream_failed', 'cancelled'))::int as failed,
           count(*) filter (where e.state = 'skipped')::int as skipped
    from ended e
    join sluice.task_edge s on s.run_id = e.run_id and s.needs = e.task
    group by s.run_id, s.task
), told as (
    update sluice.task_run t
    set needs_open = t.needs_open - c.ended,
        needs_failed = t.needs_failed + c.failed,
        needs_skipped = t.needs_skipped + c.skipped
    from counts c
    where t.run_id = c.run_id and t.task = c.task and t.state = 'waiting'
    returning t.*
)
select task_run_id, run_id, task, pool, trigger_rule, needs_total, needs_failed, needs_skipped
from told
where needs_open = 0
order by task_run_id;
