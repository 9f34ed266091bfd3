-- What users and Grafana read. Columns are added, never renamed or removed, within a major version.

create view sluice.runs as
select run_id, dag, logical_time, state, trigger, created_at, started_at, finished_at, version, params, reason,
       deadline_at, deadline_missed_at, cause
from sluice.dag_run;

create view sluice.tasks as
select t.run_id, t.task, t.kind, t.state, t.attempts, t.started_at, t.finished_at, r.dag, t.queue, t.queued_at,
       t.not_before, t.reason, t.output, t.pool, t.deadline_at, t.deadline_missed_at
from sluice.task_run t
join sluice.dag_run r using (run_id);

create view sluice.attempts as
select t.run_id, t.task, a.attempt, a.worker, a.state, a.error_domain, a.error, a.queued_at, a.started_at,
       a.finished_at, a.attempt_id, a.lease_until
from sluice.attempt a
join sluice.task_run t using (task_run_id);

create view sluice.loads as
select load_id, run_id, dataset, interval_start, interval_end, read, loaded, quarantined, deduplicated, verdict,
       published_at, task, suite, suite_hash, batch_id, sums
from sluice.load_ledger;

create view sluice.quarantine as
select load_id, dataset, row, rules, source_file, source_line, seq
from sluice.quarantined_row;

create view sluice.check_results as
select run_id, suite, check_id, dataset, outcome, observed, at, on_fail, load_id, task, suite_hash, duration_ms,
       result_id
from sluice.check_result;

create view sluice.alerts as
select a.alert_id, a.source, a.rule, a.severity, a.key, a.event_time, a.raised_at, d.delivered_at, a.detail,
       a.message, a.state
from sluice.alert a
left join lateral (
    select min(o.delivered_at) as delivered_at
    from sluice.outbox o
    where o.alert_id = a.alert_id
       or o.outbox_id in (select l.outbox_id from sluice.alert_message l where l.alert_id = a.alert_id)
) d on true;

-- Every watermark and count a person may ask for.
create view sluice.stream_progress as
select stream, partition, committed_offset, watermark, greatest(end_offset - committed_offset, 0) as lag, topic,
       start_offset, counted, deduplicated, late, malformed, updated_at, absent, seen_at
from sluice.stream_offset;

create view sluice.deliveries as
select outbox_id, channel, subject, state, attempts, created_at, delivered_at, location, error, alert_id
from sluice.outbox;

create view sluice.dags as
select dag, version, description, schedule, timezone, paused, next_run_at, deployed_at, retired_at
from sluice.dag;

create view sluice.task_edges as
select run_id, task, needs
from sluice.task_edge;

create view sluice.logs as
select t.run_id, t.task, a.attempt, l.seq, l.at, l.level, l.line
from sluice.task_log l
join sluice.attempt a using (attempt_id)
join sluice.task_run t using (task_run_id);

create view sluice.windows as
select stream, agg, partition, key, window_start, window_end, events, sum, closed, updated_at
from sluice.stream_window;

-- Payloads may hold personal data: they stay in the table, out of the reach of dashboards.
create view sluice.dead_letters as
select dead_letter_id, stream, topic, partition, record_offset, reason, detail, at, produced_at
from sluice.dead_letter;

create view sluice.processes as
select worker, role, host, pid, version, slots, started_at, seen_at, stopped_at
from sluice.worker;

create view sluice.leaders as
select role, holder, lease_until
from sluice.leader;

-- The rules and aggregates that streams have windows of. Each is one step along the windows' key, however many
-- windows there are.
create view sluice.stream_rules as
with recursive rule as (
    (select stream, agg from sluice.stream_window order by stream, agg limit 1)
    union all
    select next.stream, next.agg
    from rule
    cross join lateral (
        select w.stream, w.agg
        from sluice.stream_window w
        where (w.stream, w.agg) > (rule.stream, rule.agg)
        order by w.stream, w.agg
        limit 1
    ) next
)
select stream, agg from rule;

create view sluice.audit_log as
select audit_id, at, actor, via, act, run_id, dag, task, reason, detail
from sluice.audit;
