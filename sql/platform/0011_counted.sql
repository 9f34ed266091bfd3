-- What the counters of `/metrics` have counted of runs that are gone with their month of the archive: a counter never falls.
create table sluice.counted_runs (
    dag      text not null,
    state    text not null,
    trigger  text not null,
    runs     bigint not null,
    primary key (dag, state, trigger)
);

create table sluice.counted_attempts (
    state    text not null,
    domain   text not null,
    attempts bigint not null,
    primary key (state, domain)
);

-- Tasks that took `at_least` seconds and less than the next bound.
create table sluice.counted_tasks (
    dag      text not null,
    kind     text not null,
    at_least float8 not null,
    tasks    bigint not null,
    seconds  float8 not null,
    primary key (dag, kind, at_least)
);

-- The bounds of the histogram of how long tasks took, in seconds.
create function sluice.task_seconds_bounds() returns float8[] language sql immutable as $$
    select array[0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600]::float8[]
$$;

-- Counts the runs of a month that is about to go.
create function sluice.archive_count(month date) returns void language plpgsql as $$
declare
    low timestamptz := month::timestamp at time zone 'UTC';
    high timestamptz := (month + interval '1 month') at time zone 'UTC';
begin
    insert into sluice.counted_runs as c (dag, state, trigger, runs)
    select r.dag, r.state, r.trigger, count(*)
    from sluice_archive.dag_run r
    where r.created_at >= low and r.created_at < high
    group by r.dag, r.state, r.trigger
    on conflict (dag, state, trigger) do update set runs = c.runs + excluded.runs;

    insert into sluice.counted_attempts as c (state, domain, attempts)
    select a.state, coalesce(a.error_domain, ''), count(*)
    from sluice_archive.attempt a
    where a.run_created_at >= low and a.run_created_at < high
    group by 1, 2
    on conflict (state, domain) do update set attempts = c.attempts + excluded.attempts;

    insert into sluice.counted_tasks as c (dag, kind, at_least, tasks, seconds)
    select dag, kind, coalesce((sluice.task_seconds_bounds())[slot], 0), count(*), sum(seconds)
    from (
        select dag, kind, seconds, width_bucket(seconds, sluice.task_seconds_bounds()) as slot
        from (
            select r.dag, t.kind, extract(epoch from t.finished_at - t.started_at)::float8 as seconds
            from sluice_archive.task_run t
            join sluice_archive.dag_run r on r.run_id = t.run_id and r.created_at = t.run_created_at
            where t.run_created_at >= low and t.run_created_at < high
              and t.finished_at is not null and t.started_at is not null
        ) finished
    ) placed
    group by dag, kind, slot
    on conflict (dag, kind, at_least) do update set tasks = c.tasks + excluded.tasks, seconds = c.seconds + excluded.seconds;
end
$$;

-- As in 0010, and counts them first, in the same transaction.
create or replace function sluice.archive_drop(month date) returns void language plpgsql as $$
declare
    part record;
begin
    perform set_config('lock_timeout', '200ms', true);
    perform pg_advisory_xact_lock(hashtext('sluice.archive_month'));
    -- Of two that drop it, the second finds nothing to count.
    perform sluice.archive_count(month);
    for part in select name, name || '_' || to_char(month, 'YYYY_MM') as its from sluice.archive_tables() loop
        if part.name = 'dag_run' and to_regclass(format('sluice_archive.%I', part.its)) is not null then
            execute format('delete from sluice.trigger_event e using sluice_archive.%I r
                            where e.run_id = r.run_id and e.kind <> %L', part.its, 'file');
        end if;
        execute format('drop table if exists sluice_archive.%I', part.its);
    end loop;
end
$$;
