-- Sluice's own tables. Users and Grafana read the views of 0008_views.sql; the tables are ours to change.
-- Times are timestamptz in UTC; ids are bigint; states are domains over text, named in `workflow::state`.

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

-- Domains rather than checks of the tables: Postgres keeps the check of a domain ready, while it reads those of a table anew
-- for each statement that writes to it, which was a fifth of what a task cost.
create domain sluice.run_state as text
    check (value in ('queued', 'running', 'success', 'failed', 'cancelled', 'skipped'));
create domain sluice.task_state as text
    check (value in ('waiting', 'queued', 'running', 'success', 'failed', 'skipped', 'upstream_failed', 'cancelled'));
create domain sluice.attempt_state as text
    check (value in ('running', 'success', 'failed', 'timed_out', 'lost', 'cancelled'));
create domain sluice.run_trigger as text
    check (value in ('schedule', 'manual', 'backfill', 'dag', 'dataset', 'file', 'webhook'));
create domain sluice.error_domain as text check (value in ('user', 'external', 'internal'));
create domain sluice.nonnegative as int check (value >= 0);
create domain sluice.positive as int check (value >= 1);

-- One row a DAG: what the scheduler reads. `version` is the content hash of the file last deployed. `next_fire_at` is the
-- fire that its next run is for; `next_run_at` is when that run is made, up to the schedule's jitter later.
create table sluice.dag (
    dag          text primary key,
    version      text not null,
    description  text not null default '',
    schedule     text,
    timezone     text not null default 'UTC',
    paused       boolean not null default false,
    next_run_at  timestamptz,
    next_fire_at timestamptz,
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

-- One row a run. The unique key is what makes a schedule fire once, however many schedulers there are. `cause` is what a
-- triggered run follows from, a list; `retries_left` is how many retries its tasks still have together, null for as many as
-- each of them has; `only_task` is the one task that a person asked for, where it is not a run of the whole DAG.
create table sluice.dag_run (
    run_id          bigint generated always as identity primary key,
    dag             text not null,
    version         text not null,
    logical_time    timestamptz not null,
    interval_start  timestamptz not null,
    interval_end    timestamptz not null,
    trigger         sluice.run_trigger not null,
    params          jsonb not null default '{}',
    state           sluice.run_state not null,
    reason          text,
    tasks_open      sluice.nonnegative not null,
    retries_left    int,
    cause           jsonb,
    only_task       text,
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
create index dag_run_version on sluice.dag_run (dag, version);
create index dag_run_open on sluice.dag_run (dag) where state = 'running';
create index dag_run_queued on sluice.dag_run (dag, logical_time) where state = 'queued';
create index dag_run_deadline on sluice.dag_run (deadline_at)
    where state in ('queued', 'running') and deadline_missed_at is null;
-- What pages and dashboards ask of a span of time.
create index dag_run_created on sluice.dag_run (created_at);
create index dag_run_finished on sluice.dag_run (finished_at);
create index dag_run_success on sluice.dag_run (dag, finished_at) where state = 'success';

-- How many tasks of a pool may be ready or running at once, as sluice.yaml says.
create table sluice.pool (
    pool   text primary key,
    slots  int not null check (slots > 0)
);

-- Whether a task runs though its run is cancelled: `TriggerRule::survives_cancel`.
create function sluice.survives_cancel(trigger_rule text) returns boolean
    language sql immutable parallel safe
    return trigger_rule in ('always', 'teardown');

-- The place in the queue: when the run was made, in seconds, and an hour earlier for each point of priority. So whatever
-- is more urgent goes first, and nothing waits for ever: what is made so many hours later stands behind.
create function sluice.rank(priority smallint) returns bigint
    language sql stable parallel safe
    return extract(epoch from now())::bigint - priority * 3600;

-- One row a task of a run; its row is also its place in the queue, by `rank`. `needs_open` counts the predecessors that
-- have not ended; at zero the trigger rule decides, from the counts beside it. `repeatable` says whether the task may run
-- again after an attempt whose end is unknown. A queued task of a pool can be claimed once it is `admitted`, which is to
-- say that it has a slot of the pool. `labels` are what the worker must have.
--
-- A mapped task has a row of its own and one for each item of its list, which names it as `parent` and stands at `place` of
-- the list, from 0. `mapped` is the length of the list: null until it is known, and again once the task runs anew; rows of
-- an earlier list then stay for their attempts' sake, and count for nothing. While its items are under way the task waits,
-- and its `needs_…` count them.
--
-- `looks` is how often a task has looked in vain for what it waits for.
--
-- A run's rows, here and in the tables below, are written by the run store alone, next to the row that they refer to, and
-- leave with their run: a foreign key would look up and lock that row once more for each task, each attempt and each line
-- of a log.
create table sluice.task_run (
    task_run_id   bigint generated always as identity primary key,
    run_id        bigint not null,
    task          text not null,
    kind          text not null,
    queue         text not null default 'default',
    priority      smallint not null default 0,
    rank          bigint not null default sluice.rank(0::smallint),
    labels        text[] not null default '{}',
    state         sluice.task_state not null,
    trigger_rule  text not null default 'all_success',
    needs_total   int not null default 0,
    needs_open    sluice.nonnegative not null,
    needs_failed  int not null default 0,
    needs_skipped int not null default 0,
    repeatable    boolean not null default true,
    pool          text,
    admitted      boolean not null default true,
    attempts      int not null default 0,
    max_attempts  sluice.positive not null,
    not_before    timestamptz,
    deadline_at         timestamptz,
    deadline_missed_at  timestamptz,
    queued_at     timestamptz,
    output        jsonb,
    reason        text,
    started_at    timestamptz,
    finished_at   timestamptz,
    parent        text,
    place         int,
    item          jsonb,
    mapped        int,
    looks         int not null default 0,
    unique (run_id, task)
);
-- The queue: what a worker claims with FOR UPDATE SKIP LOCKED.
create index task_run_queue on sluice.task_run (rank, task_run_id)
    where state = 'queued' and admitted and not_before is null;
-- What comes later is in an index of its own, so that claims do not step over it; release_due.sql puts it into the queue.
create index task_run_delayed on sluice.task_run (not_before) where state = 'queued' and not_before is not null;
create index task_run_pool on sluice.task_run (pool, admitted, rank, task_run_id)
    where pool is not null and state in ('queued', 'running');
create index task_run_deadline on sluice.task_run (deadline_at)
    where state in ('waiting', 'queued', 'running') and deadline_missed_at is null;
create index task_run_running on sluice.task_run (task_run_id) where state = 'running';

-- One row an edge of a run's graph, so that counting down needs no JSON.
create table sluice.task_edge (
    run_id  bigint not null,
    task    text not null,
    needs   text not null,
    primary key (run_id, needs, task)
);
-- What a task reads the outputs of.
create index task_edge_task on sluice.task_edge (run_id, task);

-- The fencing token: one sequence for all that is ever leased. A later lease always has the greater token.
create sequence sluice.fencing_token;

-- One row an attempt, kept for ever. Its token fences: every write of the attempt names it, and is refused
-- once the attempt is no longer 'running'. `service` is which service it could not reach, where that ended it.
-- The token is part of what names an attempt, and is never looked for alone. What changes at the end of an attempt that
-- goes well is in no index, and its page has room for the new row, so that no index is written then.
create table sluice.attempt (
    attempt_id    bigint generated always as identity primary key,
    task_run_id   bigint not null,
    attempt       sluice.positive not null,
    token         bigint not null default nextval('sluice.fencing_token'),
    worker        text not null,
    state         sluice.attempt_state not null,
    lease_until   timestamptz not null,
    queued_at     timestamptz not null,
    started_at    timestamptz not null default now(),
    finished_at   timestamptz,
    error_domain  sluice.error_domain,
    error         text,
    gate          boolean not null default false,
    service       text,
    unique (task_run_id, attempt)
) with (fillfactor = 60);
create index attempt_faults on sluice.attempt (attempt_id) where error_domain is not null;

-- The attempts that run, one a task that runs. They are found by their tasks: an index of attempts with their state or their
-- lease in it would have to be written anew, and all others of the table with it, at the end of each.
create view sluice.running_attempt as
select a.attempt_id, a.task_run_id, a.attempt, a.token, a.worker, a.lease_until, a.started_at, t.run_id, t.task, t.queue,
       t.repeatable
from sluice.task_run t
join sluice.attempt a on a.task_run_id = t.task_run_id and a.attempt = t.attempts
where t.state = 'running' and a.state = 'running';

create table sluice.task_log (
    attempt_id  bigint not null,
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
    labels      text[] not null default '{}',
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
