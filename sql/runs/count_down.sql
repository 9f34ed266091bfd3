-- Tells the successors of tasks that ended how they ended, and mapped tasks how their items ended; gives those whose needs,
-- or items, have all ended now.
with ended as (
    select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as e(run_id, task, state, parent)
), heard as (
    select s.run_id, s.task, e.state, false as of_item
    from ended e
    join sluice.task_edge s on s.run_id = e.run_id and s.needs = e.task
    union all
    select run_id, parent, state, true from ended where parent is not null
), counts as (
    select run_id, task, of_item,
           count(*)::int as ended,
           count(*) filter (where state in ('failed', 'upstream_failed', 'cancelled'))::int as failed,
           count(*) filter (where state = 'skipped')::int as skipped
    from heard
    group by run_id, task, of_item
), told as (
    update sluice.task_run t
    set needs_open = t.needs_open - c.ended,
        needs_failed = t.needs_failed + c.failed,
        needs_skipped = t.needs_skipped + c.skipped
    from counts c
    where t.run_id = c.run_id and t.task = c.task and t.state = 'waiting' and (t.mapped is not null) = c.of_item
    returning t.*
)
select task_run_id, run_id, task, pool, trigger_rule, needs_total, needs_failed, needs_skipped, mapped
from told
where needs_open = 0
order by task_run_id;
