-- Puts tasks back: those that are ready into the queue, those behind them to wait again.
update sluice.task_run t
set state = n.state,
    needs_open = n.open,
    needs_failed = n.failed,
    needs_skipped = n.skipped,
    -- A run of one task alone counts what it was given, too.
    needs_total = coalesce(n.total, (select count(*) from sluice.task_edge e where e.run_id = t.run_id and e.task = t.task)),
    mapped = n.mapped,
    looks = 0,
    max_attempts = t.attempts + n.allowed,
    output = null,
    reason = null,
    not_before = null,
    admitted = t.pool is null,
    -- What ran late is late; what runs again is not.
    deadline_at = case when t.finished_at is null or t.deadline_at > clock_timestamp() then t.deadline_at end,
    started_at = null,
    finished_at = null,
    marked_by = null,
    queued_at = case when n.state = 'queued' then clock_timestamp() end
from unnest($2::text[], $3::text[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[],
            $9::int[]) as n(task, state, open, failed, skipped, allowed, total, mapped)
where t.run_id = $1 and t.task = n.task;
