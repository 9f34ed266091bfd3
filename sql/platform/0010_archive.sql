-- Runs that ended long ago, out of the way of those that are under way.
--
-- Each table here has the columns of the one of the same name in `sluice`, and `run_created_at` where that is not the run's
-- own; it is partitioned by the month, in UTC, in which the run was made. Rows only come here by `sluice.archive_runs`, and
-- only leave with their month.
create schema sluice_archive;

create table sluice_archive.dag_run (like sluice.dag_run, primary key (run_id, created_at))
    partition by range (created_at);
create index on sluice_archive.dag_run (dag, run_id desc);
create index on sluice_archive.dag_run (dag, logical_time);
create index on sluice_archive.dag_run (dag, finished_at) where state = 'success';
create index on sluice_archive.dag_run (created_at);
create index on sluice_archive.dag_run (finished_at);
create index on sluice_archive.dag_run (backfill_id, state) where backfill_id is not null;

create table sluice_archive.task_run (like sluice.task_run, run_created_at timestamptz not null)
    partition by range (run_created_at);
create index on sluice_archive.task_run (run_id, task);
create index on sluice_archive.task_run (run_id) where output ? '$output';

create table sluice_archive.task_edge (like sluice.task_edge, run_created_at timestamptz not null)
    partition by range (run_created_at);
create index on sluice_archive.task_edge (run_id, needs);

create table sluice_archive.attempt (like sluice.attempt, run_created_at timestamptz not null)
    partition by range (run_created_at);
create index on sluice_archive.attempt (task_run_id, attempt);
create index on sluice_archive.attempt (finished_at) where error_domain is not null;

create table sluice_archive.task_log (like sluice.task_log, run_created_at timestamptz not null)
    partition by range (run_created_at);
create index on sluice_archive.task_log (attempt_id, seq);

-- What is due is found by its time, however many DAGs there are.
create index dag_due on sluice.dag (next_run_at, dag) where not paused and retired_at is null;

-- So that whoever asks for what is under way is spared the archive, by its planner.
alter table sluice_archive.dag_run add constraint dag_run_is_over
    check (state in ('success', 'failed', 'cancelled', 'skipped'));
alter table sluice_archive.task_run add constraint task_run_is_over
    check (state in ('waiting', 'success', 'failed', 'skipped', 'upstream_failed', 'cancelled'));
alter table sluice_archive.attempt add constraint attempt_is_over
    check (state in ('success', 'failed', 'timed_out', 'lost', 'cancelled'));

-- What a run follows from is known for good: a file that is still there must not start it again.
alter table sluice.trigger_event drop constraint trigger_event_run_id_fkey;

-- The tables whose rows go to the archive, those that refer before those that are referred to, and what the rows `x` of the
-- runs `r` are found by.
create function sluice.archive_tables() returns table (name text, by_way_of text, found_by text)
language sql immutable as $$
    values ('task_log', ', sluice.task_run t, sluice.attempt a',
            't.run_id = r.run_id and a.task_run_id = t.task_run_id and x.attempt_id = a.attempt_id'),
           ('attempt', ', sluice.task_run t', 't.run_id = r.run_id and x.task_run_id = t.task_run_id'),
           ('task_edge', '', 'x.run_id = r.run_id'),
           ('task_run', '', 'x.run_id = r.run_id'),
           ('dag_run', '', 'x.run_id = r.run_id')
$$;

-- The names of a table's columns, in order.
create function sluice.archive_columns(table_name text) returns text language sql stable as $$
    select string_agg(quote_ident(attname), ', ' order by attnum)
    from pg_attribute
    where attrelid = format('sluice.%I', table_name)::regclass and attnum > 0 and not attisdropped
$$;

-- Gives the archive what columns the tables of `sluice` have got since, and makes the views over both of them. A migration
-- that gives a column to one of those tables calls it at its end.
create function sluice.archive_follow() returns void language plpgsql as $$
declare
    hot record;
    made text;
begin
    for hot in
        select s.name, a.attname, format_type(a.atttypid, a.atttypmod) as kind, a.attnotnull, pg_get_expr(d.adbin, d.adrelid) as given
        from sluice.archive_tables() s
        join pg_attribute a on a.attrelid = format('sluice.%I', s.name)::regclass and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where not exists (
            select from pg_attribute o
            where o.attrelid = format('sluice_archive.%I', s.name)::regclass and o.attname = a.attname and not o.attisdropped
        )
        order by s.name, a.attnum
    loop
        execute format('alter table sluice_archive.%I add column %I %s%s%s', hot.name, hot.attname, hot.kind,
                       case when hot.given is not null then ' default ' || hot.given end,
                       case when hot.attnotnull then ' not null' end);
    end loop;
    foreach made in array array['dag_run', 'task_run'] loop
        if sluice.archive_columns(made) is distinct from (
            select string_agg(quote_ident(attname), ', ' order by attnum)
            from pg_attribute
            where attrelid = to_regclass('sluice.every_' || made) and attnum > 0 and not attisdropped
        ) then
            execute format('drop view if exists sluice.every_%1$s;
                            create view sluice.every_%1$s as
                            select %2$s from sluice.%1$I union all select %2$s from sluice_archive.%1$I',
                           made, sluice.archive_columns(made));
        end if;
    end loop;
end
$$;

-- Makes the partitions of a month. Attaching takes no lock that a reader or a writer of other partitions waits for.
create function sluice.archive_month(month date) returns void language plpgsql as $$
declare
    part record;
    -- UTC's, whatever the session's time zone is.
    low timestamptz := month::timestamp at time zone 'UTC';
    high timestamptz := (month + interval '1 month') at time zone 'UTC';
begin
    if to_regclass(format('sluice_archive.%I', 'dag_run_' || to_char(month, 'YYYY_MM'))) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('sluice.archive_month'));
    for part in select name, name || '_' || to_char(month, 'YYYY_MM') as its from sluice.archive_tables() loop
        if to_regclass(format('sluice_archive.%I', part.its)) is null then
            execute format('create table sluice_archive.%I (like sluice_archive.%I including defaults including constraints)',
                           part.its, part.name);
            execute format('alter table sluice_archive.%I attach partition sluice_archive.%I for values from (%L) to (%L)',
                           part.name, part.its, low, high);
        end if;
    end loop;
end
$$;

-- Moves runs that ended before `before` to the archive, with all that is theirs, and gives those that it has moved: all
-- of `wanted` but those that someone else holds or that have gone on since.
create function sluice.archive_runs(wanted bigint[], before timestamptz) returns setof bigint language plpgsql as $$
declare
    ids bigint[];
    part record;
begin
    select array_agg(l.run_id) into ids
    from (
        select r.run_id from sluice.dag_run r
        where r.run_id = any (wanted) and r.finished_at < before
          and r.state in ('success', 'failed', 'cancelled', 'skipped')
        order by r.run_id
        for update skip locked
    ) l;
    perform sluice.archive_month(m.month)
    from (
        select distinct date_trunc('month', r.created_at at time zone 'UTC')::date as month
        from sluice.dag_run r
        where r.run_id = any (ids)
    ) m;
    for part in
        select s.*, sluice.archive_columns(s.name) || case when s.name = 'dag_run' then '' else ', run_created_at' end as columns
        from sluice.archive_tables() s
    loop
        execute format(
            'with gone as (
                 delete from sluice.%1$I x using sluice.dag_run r%2$s
                 where r.run_id = any ($1) and %3$s
                 returning r.created_at as run_created_at, x.*
             )
             insert into sluice_archive.%1$I (%4$s) select %4$s from gone',
            part.name, part.by_way_of, part.found_by, part.columns
        ) using ids;
    end loop;
    return query select unnest(ids);
end
$$;

-- Months of the archive that are over before `before`, the oldest first.
create function sluice.archive_months(before timestamptz) returns setof date language sql stable as $$
    select m.month
    from (
        select to_date(right(c.relname, 7), 'YYYY_MM') as month
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'sluice_archive.dag_run'::regclass
    ) m
    where (m.month + interval '1 month') at time zone 'UTC' <= before
    order by m.month
$$;

-- Drops a month of the archive, whole or not at all. Whoever reads the archive is not made to wait: where someone does,
-- this fails, and is tried again later. Causes of the runs are forgotten with them, but for files, which may still be there.
create function sluice.archive_drop(month date) returns void language plpgsql as $$
declare
    part record;
begin
    perform set_config('lock_timeout', '200ms', true);
    perform pg_advisory_xact_lock(hashtext('sluice.archive_month'));
    for part in select name, name || '_' || to_char(month, 'YYYY_MM') as its from sluice.archive_tables() loop
        if part.name = 'dag_run' and to_regclass(format('sluice_archive.%I', part.its)) is not null then
            execute format('delete from sluice.trigger_event e using sluice_archive.%I r
                            where e.run_id = r.run_id and e.kind <> %L', part.its, 'file');
        end if;
        execute format('drop table if exists sluice_archive.%I', part.its);
    end loop;
end
$$;

-- What users read goes over both.
create or replace view sluice.runs as
select run_id, dag, logical_time, state, trigger, created_at, started_at, finished_at, version, params, reason,
       deadline_at, deadline_missed_at, cause
from sluice.dag_run
union all
select run_id, dag, logical_time, state, trigger, created_at, started_at, finished_at, version, params, reason,
       deadline_at, deadline_missed_at, cause
from sluice_archive.dag_run;

create or replace view sluice.tasks as
select t.run_id, t.task, t.kind, t.state, t.attempts, t.started_at, t.finished_at, r.dag, t.queue, t.queued_at,
       t.not_before, t.reason, t.output, t.pool, t.deadline_at, t.deadline_missed_at
from sluice.task_run t
join sluice.dag_run r using (run_id)
union all
select t.run_id, t.task, t.kind, t.state, t.attempts, t.started_at, t.finished_at, r.dag, t.queue, t.queued_at,
       t.not_before, t.reason, t.output, t.pool, t.deadline_at, t.deadline_missed_at
from sluice_archive.task_run t
join sluice_archive.dag_run r on r.run_id = t.run_id and r.created_at = t.run_created_at;

create or replace view sluice.attempts as
select t.run_id, t.task, a.attempt, a.worker, a.state, a.error_domain, a.error, a.queued_at, a.started_at,
       a.finished_at, a.attempt_id, a.lease_until
from sluice.attempt a
join sluice.task_run t using (task_run_id)
union all
select t.run_id, t.task, a.attempt, a.worker, a.state, a.error_domain, a.error, a.queued_at, a.started_at,
       a.finished_at, a.attempt_id, a.lease_until
from sluice_archive.attempt a
join sluice_archive.task_run t on t.task_run_id = a.task_run_id and t.run_created_at = a.run_created_at;

create or replace view sluice.task_edges as
select run_id, task, needs
from sluice.task_edge
union all
select run_id, task, needs
from sluice_archive.task_edge;

create or replace view sluice.logs as
select t.run_id, t.task, a.attempt, l.seq, l.at, l.level, l.line
from sluice.task_log l
join sluice.attempt a using (attempt_id)
join sluice.task_run t using (task_run_id)
union all
select t.run_id, t.task, a.attempt, l.seq, l.at, l.level, l.line
from sluice_archive.task_log l
join sluice_archive.attempt a on a.attempt_id = l.attempt_id and a.run_created_at = l.run_created_at
join sluice_archive.task_run t on t.task_run_id = a.task_run_id and t.run_created_at = a.run_created_at;

select sluice.archive_follow();
