-- What others are told of runs: OpenLineage events and OTLP traces. Nothing is kept of what was told, nor queued to be told:
-- whoever tells walks the rows of runs and attempts, and keeps here how far it has come.

-- The name of this database in the ids of what is told. A copy goes on under the same ids.
create table sluice.installation (
    one  boolean primary key default true check (one),
    id   uuid not null default gen_random_uuid()
);
insert into sluice.installation default values;

-- One row a run that was over and went on: what it was before. A run that never did has none.
create table sluice.run_life (
    run_id       bigint not null references sluice.dag_run on delete cascade,
    life         int not null,
    state        text not null,
    reason       text,
    started_at   timestamptz,
    finished_at  timestamptz not null,
    reopened_at  timestamptz not null default clock_timestamp(),
    primary key (run_id, life)
);

-- One row a place that is told. Runs up to `last_run` and attempts up to `last_attempt` have been looked at; what of them
-- is not told to its end stands in the two tables below. `refused` counts what the place will never take.
create table sluice.trail (
    sink           text primary key check (sink in ('lineage', 'traces')),
    last_run       bigint not null,
    last_attempt   bigint not null,
    told_at        timestamptz,
    failing_since  timestamptz,
    error          text,
    refused        bigint not null default 0
);

-- Runs that are not over. `life` is how many times the run's end was told, `begun` whether its beginning was since then.
-- `touched` tells whoever takes the row away whether the run went on meanwhile.
create table sluice.trail_run (
    sink     text not null references sluice.trail on delete cascade,
    run_id   bigint not null,
    life     int not null default 0,
    begun    boolean not null default false,
    touched  int not null default 0,
    primary key (sink, run_id)
);

-- Attempts whose end has not been told, by number: a task that looks again does so as the same one.
create table sluice.trail_attempt (
    sink         text not null references sluice.trail on delete cascade,
    task_run_id  bigint not null,
    attempt      int not null,
    primary key (sink, task_run_id, attempt)
);

-- Only a person's act lets a run go on that was over. A run that a sink has no row of, though it has come that far, was told to
-- its end there.
create function sluice.run_reopened() returns trigger language plpgsql as $$
declare
    former int := (select count(*) from sluice.run_life l where l.run_id = old.run_id);
begin
    insert into sluice.run_life (run_id, life, state, reason, started_at, finished_at)
    values (old.run_id, former, old.state, old.reason, old.started_at, coalesce(old.finished_at, clock_timestamp()));
    insert into sluice.trail_run as t (sink, run_id, life)
    select sink, old.run_id, case when old.run_id <= last_run then former + 1 else 0 end from sluice.trail
    on conflict (sink, run_id) do update set touched = t.touched + 1;
    return null;
end $$;
create trigger run_reopened after update of state on sluice.dag_run
    for each row when (old.state in ('success', 'failed', 'cancelled', 'skipped') and new.state in ('queued', 'running'))
    execute function sluice.run_reopened();

create view sluice.trails as
select sink, told_at, failing_since, error, refused,
       (select count(*) from sluice.attempt a where a.attempt_id > t.last_attempt) as attempts_behind
from sluice.trail t;
