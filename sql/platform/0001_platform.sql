-- Sluice's own tables. Users and Grafana read the views of 0002_views.sql; the tables are ours to change.
-- Times are timestamptz in UTC; ids are bigint; states are text, checked here and named in `workflow::state`.

-- `create schema if not exists` races with itself, and a lock around it does not help: what the session believes of the
-- catalogue is no younger for having waited. Here the loser of the race finds the schema made.
create function sluice.ensure_schema(name text) returns void language plpgsql as $$
begin
    if to_regnamespace(quote_ident(name)) is null then
        execute format('create schema if not exists %I', name);
    end if;
exception
    when unique_violation or duplicate_schema then null;
end
$$;

-- Workflows ---------------------------------------------------------------------------------------------------

-- One row a DAG: what the scheduler reads. `version` is the content hash of the file last deployed.
create table sluice.dag (
    dag          text primary key,
    version      text not null,
    description  text not null default '',
    schedule     text,
    timezone     text not null default 'UTC',
    paused       boolean not null default false,
    next_run_at  timestamptz,
    deployed_at  timestamptz not null default now(),
    retired_at   timestamptz
);

-- One row a version of a DAG that was ever deployed. A run keeps the plan it started with.
create table sluice.dag_version (
    dag         text not null,
    version     text not null,
    plan        jsonb not null,
    created_at  timestamptz not null default now(),
    primary key (dag, version)
);

-- One row a run. The unique key is what makes a schedule fire once, however many schedulers there are.
create table sluice.dag_run (
    run_id          bigint generated always as identity primary key,
    dag             text not null,
    version         text not null,
    logical_time    timestamptz not null,
    interval_start  timestamptz not null,
    interval_end    timestamptz not null,
    trigger         text not null check (trigger in ('schedule', 'manual', 'backfill')),
    params          jsonb not null default '{}',
    state           text not null check (state in ('queued', 'running', 'success', 'failed', 'cancelled', 'skipped')),
    reason          text,
    tasks_open      int not null check (tasks_open >= 0),
    created_at      timestamptz not null default now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    cancel_requested_at  timestamptz,
    deadline_at          timestamptz,
    deadline_missed_at   timestamptz,
    unique (dag, logical_time),
    foreign key (dag, version) references sluice.dag_version (dag, version)
);
create index dag_run_recent on sluice.dag_run (dag, run_id desc);
create index dag_run_open on sluice.dag_run (dag) where state = 'running';
create index dag_run_queued on sluice.dag_run (dag, logical_time) where state = 'queued';
create index dag_run_deadline on sluice.dag_run (deadline_at)
    where state in ('queued', 'running') and deadline_missed_at is null;

-- How many tasks of a pool may be ready or running at once, as sluice.yaml says.
create table sluice.pool (
    pool   text primary key,
    slots  int not null check (slots > 0)
);
-- What pages and dashboards ask of a span of time.
create index dag_run_created on sluice.dag_run (created_at);
create index dag_run_finished on sluice.dag_run (finished_at);
create index dag_run_success on sluice.dag_run (dag, finished_at) where state = 'success';

-- One row a task of a run; its row is also its place in the queue. `needs_open` counts the predecessors
-- that have not ended; at zero the trigger rule decides, from the counts beside it. `repeatable` says whether
-- the task may run again after an attempt whose end is unknown. A queued task of a pool can be claimed once it is
-- `admitted`, which is to say that it has a slot of the pool.
create table sluice.task_run (
    task_run_id   bigint generated always as identity primary key,
    run_id        bigint not null references sluice.dag_run on delete cascade,
    task          text not null,
    kind          text not null,
    queue         text not null default 'default',
    priority      smallint not null default 0,
    state         text not null check (state in ('waiting', 'queued', 'running', 'success', 'failed',
                                                 'skipped', 'upstream_failed', 'cancelled')),
    trigger_rule  text not null default 'all_success',
    needs_total   int not null default 0,
    needs_open    int not null check (needs_open >= 0),
    needs_failed  int not null default 0,
    needs_skipped int not null default 0,
    repeatable    boolean not null default true,
    pool          text,
    admitted      boolean not null default true,
    attempts      int not null default 0,
    max_attempts  int not null check (max_attempts >= 1),
    not_before    timestamptz,
    deadline_at         timestamptz,
    deadline_missed_at  timestamptz,
    queued_at     timestamptz,
    output        jsonb,
    reason        text,
    started_at    timestamptz,
    finished_at   timestamptz,
    unique (run_id, task)
);
-- The queue: what a worker claims with FOR UPDATE SKIP LOCKED.
create index task_run_queue on sluice.task_run (priority desc, task_run_id) include (queue, kind, not_before)
    where state = 'queued' and admitted;
create index task_run_pool on sluice.task_run (pool, admitted, priority desc, task_run_id)
    where pool is not null and state in ('queued', 'running');
create index task_run_deadline on sluice.task_run (deadline_at)
    where state in ('waiting', 'queued', 'running') and deadline_missed_at is null;
create index task_run_running on sluice.task_run (task_run_id) where state = 'running';

-- One row an edge of a run's graph, so that counting down needs no JSON.
create table sluice.task_edge (
    run_id  bigint not null references sluice.dag_run on delete cascade,
    task    text not null,
    needs   text not null,
    primary key (run_id, needs, task)
);

-- The fencing token: one sequence for all that is ever leased. A later lease always has the greater token.
create sequence sluice.fencing_token;

-- One row an attempt, kept for ever. Its token fences: every write of the attempt names it, and is refused
-- once the attempt is no longer 'running'.
create table sluice.attempt (
    attempt_id    bigint generated always as identity primary key,
    task_run_id   bigint not null references sluice.task_run on delete cascade,
    attempt       int not null check (attempt >= 1),
    token         bigint not null unique default nextval('sluice.fencing_token'),
    worker        text not null,
    state         text not null check (state in ('running', 'success', 'failed', 'timed_out', 'lost', 'cancelled')),
    lease_until   timestamptz not null,
    queued_at     timestamptz not null,
    started_at    timestamptz not null default now(),
    finished_at   timestamptz,
    error_domain  text check (error_domain in ('user', 'external', 'internal')),
    error         text,
    gate          boolean not null default false,
    unique (task_run_id, attempt)
);
create index attempt_leases on sluice.attempt (lease_until) where state = 'running';
create index attempt_faults on sluice.attempt (finished_at) where state in ('failed', 'timed_out', 'lost');

create table sluice.task_log (
    attempt_id  bigint not null references sluice.attempt on delete cascade,
    seq         bigint not null,
    at          timestamptz not null,
    level       text not null,
    line        text not null,
    primary key (attempt_id, seq)
);

-- One row a process that has worked; `worker` is unique for each start. No queues means all of them.
create table sluice.worker (
    worker      text primary key,
    role        text not null,
    host        text not null,
    pid         int not null,
    version     text not null,
    slots       int not null default 0,
    queues      text[] not null default '{}',
    kinds       text[] not null default '{}',
    started_at  timestamptz not null default now(),
    seen_at     timestamptz not null default now(),
    stopped_at  timestamptz
);

-- Leadership by lease, for the scheduler, the reaper and the deliverer.
create table sluice.leader (
    role         text primary key,
    holder       text not null,
    token        bigint not null default nextval('sluice.fencing_token'),
    lease_until  timestamptz not null
);

-- Data --------------------------------------------------------------------------------------------------------

-- One row a published (or refused) batch. The unique key is what makes a load happen once:
-- `read = loaded + quarantined + deduplicated` always holds. `sums` carries the balanced totals a load
-- was asked to keep ({"revenue": {"read": .., "loaded": .., "quarantined": .., "deduplicated": ..}}).
create table sluice.load_ledger (
    load_id         bigint generated always as identity primary key,
    dataset         text not null,
    batch_id        text not null,
    run_id          bigint,
    task            text,
    interval_start  timestamptz not null,
    interval_end    timestamptz not null,
    suite           text,
    suite_hash      text,
    verdict         text not null check (verdict in ('passed', 'warned', 'quarantined', 'failed', 'unchecked')),
    read            bigint not null check (read >= 0),
    loaded          bigint not null check (loaded >= 0),
    quarantined     bigint not null check (quarantined >= 0),
    deduplicated    bigint not null check (deduplicated >= 0),
    sums            jsonb not null default '{}',
    token           bigint,
    published_at    timestamptz not null default now(),
    unique (dataset, interval_start, interval_end, batch_id),
    check (verdict = 'failed' or read = loaded + quarantined + deduplicated)
);
create index load_ledger_recent on sluice.load_ledger (dataset, load_id desc);
create index load_ledger_published on sluice.load_ledger (published_at);

-- One row a row that a gate held back, with every rule that it broke and where it stood in its source.
create table sluice.quarantined_row (
    load_id      bigint not null references sluice.load_ledger on delete cascade,
    seq          bigint not null,
    dataset      text not null,
    source_file  text,
    source_line  bigint,
    row          jsonb not null,
    rules        text[] not null check (cardinality(rules) > 0),
    primary key (load_id, seq)
);
-- Finds a row that was held back before.
create index quarantined_row_content on sluice.quarantined_row (dataset, jsonb_hash_extended(row, 0));

-- High-water marks of incremental extraction: one row an extract and target that its batches are published in. `source`
-- is the table at `connection`, `cursor_column` what orders it; a task that reads something else begins anew. A mark moves
-- only in the transaction that publishes the rows below it.
create table sluice.high_water_mark (
    dag            text not null,
    task           text not null,
    connection     text not null,
    source         text not null,
    cursor_column  text not null,
    target         text not null,
    cursor         text not null,
    key            text not null,
    load_id        bigint references sluice.load_ledger,
    updated_at     timestamptz not null default now(),
    primary key (dag, task, connection, source, cursor_column, target)
);

create table sluice.check_result (
    result_id    bigint generated always as identity primary key,
    run_id       bigint,
    task         text,
    load_id      bigint references sluice.load_ledger on delete cascade,
    suite        text not null,
    suite_hash   text not null,
    check_id     text not null,
    dataset      text not null,
    outcome      text not null check (outcome in ('passed', 'failed', 'errored', 'vacuous')),
    on_fail      text not null,
    observed     jsonb not null default '{}',
    duration_ms  double precision not null default 0,
    at           timestamptz not null default now()
);
create index check_result_recent on sluice.check_result (suite, at desc);
create index check_result_at on sluice.check_result (at);
create index check_result_run on sluice.check_result (run_id);

-- Streams -----------------------------------------------------------------------------------------------------

-- One row a partition of a stream: committed in the transaction of the results it accounts for.
-- Every consumed record is exactly one of counted, deduplicated, late, malformed:
-- counted + late + malformed + deduplicated = committed_offset - start_offset (compaction aside).
create table sluice.stream_offset (
    stream            text not null,
    topic             text not null,
    partition         int not null,
    start_offset      bigint not null,
    committed_offset  bigint not null,
    end_offset        bigint not null default 0,
    watermark         timestamptz,
    generation        bigint not null default 0,
    counted           bigint not null default 0,
    deduplicated      bigint not null default 0,
    late              bigint not null default 0,
    malformed         bigint not null default 0,
    updated_at        timestamptz not null default now(),
    primary key (stream, partition)
);

-- One row a key and window that saw an event. `agg` is the name of the rule or aggregate it belongs to.
-- `closed` says that the watermark has passed its end and allowed lateness.
create table sluice.stream_window (
    stream        text not null,
    agg           text not null,
    partition     int not null,
    key           text not null,
    window_start  timestamptz not null,
    window_end    timestamptz not null,
    events        bigint not null,
    sum           numeric not null default 0,
    closed        boolean not null default false,
    updated_at    timestamptz not null default now(),
    primary key (stream, agg, window_start, key, partition)
);
create index stream_window_open on sluice.stream_window (stream, partition, window_end) where not closed;

create table sluice.dead_letter (
    dead_letter_id  bigint generated always as identity primary key,
    stream          text not null,
    topic           text not null,
    partition       int not null,
    record_offset   bigint not null,
    reason          text not null check (reason in ('malformed', 'late', 'rejected')),
    detail          text not null,
    key             bytea,
    payload         bytea,
    headers         jsonb not null default '{}',
    at              timestamptz not null default now(),
    produced_at     timestamptz,
    unique (stream, topic, partition, record_offset)
);

-- Alerts and deliveries ---------------------------------------------------------------------------------------

-- One row an alert; `dedupe_key` makes a replay raise it once.
create table sluice.alert (
    alert_id    bigint generated always as identity primary key,
    dedupe_key  text not null unique,
    source      text not null,
    rule        text not null,
    severity    text not null check (severity in ('low', 'medium', 'high', 'critical')),
    key         text not null,
    event_time  timestamptz not null,
    raised_at   timestamptz not null default clock_timestamp(),
    message     text not null,
    detail      jsonb not null default '{}',
    state       text not null default 'open' check (state in ('open', 'closed'))
);
create index alert_recent on sluice.alert (raised_at desc);
create index alert_cooldown on sluice.alert (source, rule, key, event_time desc);

-- One row a message to a channel, written in the transaction that decided it and sent once.
create table sluice.outbox (
    outbox_id     bigint generated always as identity primary key,
    dedupe_key    text not null unique,
    channel       text not null,
    alert_id      bigint references sluice.alert on delete cascade,
    subject       text not null,
    payload       jsonb not null,
    state         text not null default 'pending' check (state in ('pending', 'sending', 'delivered', 'failed')),
    attempts      int not null default 0,
    not_before    timestamptz not null default now(),
    created_at    timestamptz not null default now(),
    delivered_at  timestamptz,
    location      text,
    error         text
);
create index outbox_pending on sluice.outbox (not_before) where state in ('pending', 'sending');
create index outbox_alert on sluice.outbox (alert_id);
