//! What must hold once all has ended: one query an invariant. Each gives what offends against it, a line a row.

use sqlx::{AssertSqlSafe, PgConnection, query_scalar};

/// Writes down, in the transactions of the platform itself, each end and each time that a task became ready. Nothing of the
/// platform reads it.
pub(crate) const WITNESS: &str = "
create schema chaos;
create table chaos.seen (what text, id bigint, state text, at timestamptz not null default clock_timestamp());
create table chaos.marks (run_id bigint, task text);
create function chaos.see() returns trigger language plpgsql as $$
begin
    insert into chaos.seen (what, id, state)
    values (tg_argv[0], (to_jsonb(new) ->> tg_argv[1])::bigint, new.state);
    return null;
end $$;
create trigger chaos_run after update of state on sluice.dag_run
    for each row when (old.state in ('queued', 'running') and new.state not in ('queued', 'running'))
    execute function chaos.see('run ended', 'run_id');
create trigger chaos_task after update of state on sluice.task_run
    for each row when (old.state in ('waiting', 'queued', 'running') and new.state not in ('waiting', 'queued', 'running'))
    execute function chaos.see('task ended', 'task_run_id');
create trigger chaos_ready after update of state on sluice.task_run
    for each row when (old.state = 'waiting' and new.state = 'queued')
    execute function chaos.see('task ready', 'task_run_id');
create trigger chaos_attempt after update of state on sluice.attempt
    for each row when (old.state = 'running' and new.state <> 'running')
    execute function chaos.see('attempt ended', 'attempt_id');
";

/// How many runs, tasks or causes are still to come to an end.
pub(crate) const OPEN: &str = "
select (select count(*) from sluice.dag_run where state in ('queued', 'running'))
     + (select count(*) from sluice.task_run where state in ('waiting', 'queued', 'running'))
     + (select count(*) from sluice.trigger_event where run_id is null)";

/// What is under way, for the message of a test that waits in vain.
pub(crate) const STUCK: &str = "
select format('run %s of %s is %s; %s', r.run_id, r.dag, r.state,
              string_agg(format('%s %s%s', t.task, t.state,
                                case when t.state = 'queued' and not t.admitted then ' without a slot of ' || t.pool end),
                         ', ' order by t.task_run_id))
from sluice.dag_run r
join sluice.task_run t using (run_id)
where t.state in ('waiting', 'queued', 'running')
group by r.run_id
union all
select format('%s of %s is not taken by %s', key, source, dag) from sluice.trigger_event where run_id is null";

/// While the processes still run.
const ENDED: [(&str, &str); 13] = [
    (
        "every run ended once",
        "select format('run %s of %s: %s, finished %s, %s tasks open, ended %s times', r.run_id, r.dag, r.state,
                       r.finished_at, r.tasks_open, count(s.id))
         from sluice.dag_run r
         left join chaos.seen s on s.what = 'run ended' and s.id = r.run_id
         group by r.run_id
         having r.state not in ('success', 'failed', 'cancelled', 'skipped')
             or r.tasks_open <> 0
             or (r.state <> 'skipped' and (r.finished_at is null or count(s.id) <> 1))",
    ),
    (
        "a run's state follows from its tasks",
        "select format('run %s of %s is %s, %s failed, %s cancelled', r.run_id, r.dag, r.state, f.failed, f.cancelled)
         from sluice.dag_run r
         cross join lateral (
             select count(*) filter (where state in ('failed', 'upstream_failed') and trigger_rule <> 'teardown') as failed,
                    count(*) filter (where state = 'failed' and trigger_rule <> 'teardown') as fatal,
                    count(*) filter (where state = 'cancelled') as cancelled
             from sluice.task_run t where t.run_id = r.run_id and parent is null
         ) f
         where (r.state = 'success' and (f.fatal > 0 or f.cancelled > 0)) or (r.state = 'failed' and f.fatal = 0)
            or (r.state = 'cancelled' and r.cancel_requested_at is null)",
    ),
    (
        "every task ended once",
        "select format('run %s, %s: %s, ended %s times', t.run_id, t.task, t.state, count(s.id))
         from sluice.task_run t
         join sluice.dag_run r using (run_id)
         left join chaos.seen s on s.what = 'task ended' and s.id = t.task_run_id
         where r.state <> 'skipped'
         group by t.task_run_id
         having t.state in ('waiting', 'queued', 'running') or t.finished_at is null or count(s.id) <> 1",
    ),
    (
        "every fan-in fired once",
        "select format('run %s, %s became ready %s times', t.run_id, t.task, count(*))
         from sluice.task_run t
         join chaos.seen s on s.what = 'task ready' and s.id = t.task_run_id
         group by t.task_run_id
         having count(*) > case when t.mapped is null then 1 else 2 end",
    ),
    (
        "every attempt is closed, once, and no task succeeded twice",
        "select format('run %s, %s#%s: %s, ended %s times', t.run_id, t.task, a.attempt, a.state, count(s.id))
         from sluice.attempt a
         join sluice.task_run t using (task_run_id)
         left join chaos.seen s on s.what = 'attempt ended' and s.id = a.attempt_id
         group by a.attempt_id, t.task_run_id
         having a.state = 'running' or a.finished_at is null or count(s.id) <> 1
         union all
         select format('run %s, %s: %s with %s attempts that succeeded', t.run_id, t.task, t.state, count(a.attempt_id))
         from sluice.task_run t
         left join sluice.attempt a on a.task_run_id = t.task_run_id and a.state = 'success'
         where t.mapped is null
         group by t.task_run_id
         having count(a.attempt_id) > 1 or (t.state = 'success' and count(a.attempt_id) = 0)",
    ),
    (
        "every unit is counted once where its task succeeded, and at most once else",
        "select format('run %s, %s: %s, %s units', run_id, task, t.state, coalesce(e.units, 0))
         from (select run_id, task, state from sluice.task_run where kind = 'load') t
         full join (select run_id, task, count(*) as units from effects.units group by run_id, task) e using (run_id, task)
         where t.state is null or (t.state = 'success' and coalesce(e.units, 0) <> 1) or e.units > 1",
    ),
    (
        "what must not be repeated ran once where it succeeded, and at most once else",
        "select format('run %s, %s: %s, ran %s times', run_id, task, t.state, coalesce(m.marks, 0))
         from (select run_id, task, state from sluice.task_run
               where kind = 'command' and task ~ '^[mbt]|\\[' and mapped is null) t
         full join (select run_id, task, count(*) as marks from chaos.marks group by run_id, task) m using (run_id, task)
         where t.state is null or (t.state = 'success' and coalesce(m.marks, 0) <> 1) or m.marks > 1",
    ),
    (
        "every fire of a schedule made one run",
        "select format('%s: %s comes %s after the one before it, not %s', dag, logical_time, gap, every)
         from (select r.dag, r.logical_time, r.logical_time - lag(r.logical_time) over (partition by r.dag order by r.logical_time) as gap,
                      make_interval(secs => substring(d.schedule from '[0-9]+')::int) as every
               from sluice.dag_run r join sluice.dag d using (dag)
               where r.trigger = 'schedule') as fires
         where gap <> every",
    ),
    (
        "every success made one run of each DAG that waits for it",
        "select format('run %s of %s made %s runs of %s', r.run_id, r.dag, count(f.run_id), s.dag)
         from sluice.dag_run r
         join sluice.trigger_source s on s.kind = 'dag' and s.source = r.dag
         left join sluice.trigger_event e on e.dag = s.dag and e.source = r.dag and e.key = 'run ' || r.run_id
         left join sluice.dag_run f on f.run_id = e.run_id and f.dag = s.dag
         where r.state = 'success'
         group by r.run_id, s.dag
         having count(f.run_id) <> 1",
    ),
    (
        "no more at once than a pool has slots",
        "select format('%s has %s slots, and at %s it held %s: run %s, %s', p.pool, p.slots, a.started_at, others.n, t.run_id, t.task)
         from sluice.pool p
         join sluice.task_run t using (pool)
         join sluice.attempt a using (task_run_id)
         cross join lateral (
             select count(*) as n
             from sluice.task_run o join sluice.attempt b using (task_run_id)
             where o.pool = p.pool and b.started_at <= a.started_at and b.finished_at > a.started_at
         ) others
         where others.n > p.slots",
    ),
    (
        "no more runs of a DAG at once than it allows",
        "select format('%s allows %s, and at %s there were %s: run %s', r.dag, most, r.started_at, others.n, r.run_id)
         from sluice.dag_run r
         join sluice.dag_version v using (dag, version)
         cross join lateral (select (v.plan ->> 'max_active_runs')::int as most) m
         cross join lateral (
             select count(*) as n
             from sluice.dag_run o
             where o.dag = r.dag and o.started_at <= r.started_at and o.finished_at > r.started_at
         ) others
         where others.n > most",
    ),
    (
        "a server that asked for patience got it",
        "select format('run %s, %s#%s came %s after it was told to wait', t.run_id, t.task, n.attempt, n.started_at - a.finished_at)
         from sluice.attempt a
         join sluice.attempt n on n.task_run_id = a.task_run_id and n.attempt = a.attempt + 1
         join sluice.task_run t on t.task_run_id = a.task_run_id
         where a.state = 'failed' and a.error like '%429%' and n.started_at < a.finished_at + interval '2 s'",
    ),
    (
        "every failure was told once to each channel",
        "select format('run %s of %s: %s notices', r.run_id, r.dag, count(o.outbox_id))
         from sluice.dag_run r
         left join sluice.outbox o on o.dedupe_key like 'run:' || r.run_id || ':failed:%'
         where r.state = 'failed'
         group by r.run_id
         having count(o.outbox_id) <> 1",
    ),
];

/// Once the processes have ended, too.
const LEFT: [(&str, &str); 6] = [
    ("no lease is left", "select format('%s of %s', role, holder) from sluice.leader where lease_until > clock_timestamp()"),
    (
        "no slot is left",
        "select format('%s, taken by run %s, %s (%s)', t.pool, t.run_id, t.task, t.state)
         from sluice.task_run t where t.pool is not null and t.state in ('queued', 'running')
         union all
         select format('the pool `%s` outlived its task', pool) from sluice.pool where pool like 'items %'",
    ),
    (
        "no lock is left",
        "select format('%s lock of process %s on %s', locktype, pid, coalesce(relation::regclass::text, objid::text))
         from pg_locks where pid <> pg_backend_pid() and (locktype = 'advisory' or relation in
             (select oid from pg_class where relnamespace in ('sluice'::regnamespace, 'effects'::regnamespace)))",
    ),
    (
        "no session is left",
        "select format('%s, %s: %s', application_name, state, left(query, 80))
         from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'",
    ),
    ("no staging table is left", "select tablename::text from pg_tables where schemaname = 'sluice_staging'"),
    (
        "no message is in the middle of its way",
        "select format('%s to %s: %s', subject, channel, state) from sluice.outbox where state = 'sending' and not_before < clock_timestamp() - interval '1 h'",
    ),
];

/// What a test that found nothing must have seen: without it there was nothing to find.
const IDLE: [(&str, &str); 3] = [
    ("leases were lost", "select 'none' where not exists (select from sluice.attempt where state = 'lost')"),
    ("runs were cancelled", "select 'none' where not exists (select from sluice.dag_run where state = 'cancelled')"),
    (
        "there were units and marks",
        "select 'few' where (select least((select count(*) from effects.units), (select count(*) from chaos.marks))) < 10",
    ),
];

/// How often everything ended in each way.
pub(crate) const SUMMARY: &str =
    "select format('%s %s: %s', what, state, count(*)) from chaos.seen group by what, state order by what, state";

/// Everything that offends against an invariant, each under its name.
pub(crate) async fn ended(connection: &mut PgConnection) -> Vec<String> {
    judge(connection, &ENDED).await
}

/// As [`ended`], of what is left behind.
pub(crate) async fn left(connection: &mut PgConnection) -> Vec<String> {
    judge(connection, &LEFT).await
}

/// As [`ended`], of what a minute of faults cannot have been without.
pub(crate) async fn idle(connection: &mut PgConnection) -> Vec<String> {
    judge(connection, &IDLE).await
}

async fn judge(connection: &mut PgConnection, invariants: &[(&str, &str)]) -> Vec<String> {
    let mut offences = Vec::new();
    for (invariant, sql) in invariants {
        let rows = lines(connection, sql).await;
        if !rows.is_empty() {
            let shown = rows.iter().take(10).map(|row| format!("\n    {row}")).collect::<String>();
            offences.push(format!("{invariant}: {} offend{shown}", rows.len()));
        }
    }
    offences
}

/// The rows of a query that gives texts.
pub(crate) async fn lines(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}\n{error}"))
}
