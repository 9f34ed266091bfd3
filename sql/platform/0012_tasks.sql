-- What a task's rules ask of the queue.

create trigger audit_is_not_emptied before truncate on sluice.audit
    for each statement execute function sluice.audit_is_kept();

-- Whether a task runs though its run is cancelled: `TriggerRule::survives_cancel`.
create function sluice.survives_cancel(trigger_rule text) returns boolean
    language sql immutable parallel safe
    return trigger_rule in ('always', 'teardown');

-- The place in the queue: when the run was made, in seconds, and an hour earlier for each point of priority. So whatever
-- is more urgent goes first, and nothing waits for ever: what is made so many hours later stands behind. `labels` are what
-- the worker must have.
create function sluice.rank(priority smallint) returns bigint
    language sql stable parallel safe
    return extract(epoch from now())::bigint - priority * 3600;

alter table sluice.task_run
    add column rank bigint not null default sluice.rank(0::smallint),
    add column labels text[] not null default '{}';
update sluice.task_run t
set rank = extract(epoch from r.created_at)::bigint - t.priority * 3600
from sluice.dag_run r
where r.run_id = t.run_id;
alter table sluice.worker add column labels text[] not null default '{}';

drop index sluice.task_run_queue, sluice.task_run_pool;
-- What comes later is in an index of its own, so that claims do not step over it; release_due.sql puts it into the queue.
create index task_run_queue on sluice.task_run (rank, task_run_id)
    where state = 'queued' and admitted and not_before is null;
create index task_run_delayed on sluice.task_run (not_before) where state = 'queued' and not_before is not null;
create index task_run_pool on sluice.task_run (pool, admitted, rank, task_run_id)
    where pool is not null and state in ('queued', 'running');

-- How many retries the tasks of a run still have together; null for as many as each of them has.
alter table sluice.dag_run add column retries_left int;

drop function sluice.hand_over;
create function sluice.hand_over(
    ended_attempt_id bigint, ended_token bigint, ended_run_id bigint, ended_task_run_id bigint, ended_task text,
    ended_output jsonb, log_seq bigint[], log_at timestamptz[], log_level text[], log_line text[],
    claiming_worker text, lease_seconds float8, queues text[], kinds text[], labels text[], only_run bigint
) returns table (
    done boolean, attempt_id bigint, token bigint, attempt int, max_attempts int, run_id bigint, task_run_id bigint,
    task text, kind text, dag text, version text, logical_time timestamptz, interval_start timestamptz,
    interval_end timestamptz, params jsonb, first boolean, inputs jsonb
)
language plpgsql
as $$
#variable_conflict use_column
declare
    open int;
    ready int := 0;
    next sluice.task_run;
begin
    -- First the run's lock, as all do who change its tasks.
    select r.tasks_open into open
    from sluice.dag_run r
    where r.run_id = ended_run_id and r.cancel_requested_at is null
    for update;
    if open is null or open < 2 then
        done := false;
        return next;
        return;
    end if;

    update sluice.attempt a
    set state = 'success', finished_at = clock_timestamp()
    where a.attempt_id = ended_attempt_id and a.token = ended_token and a.state = 'running';
    if not found then
        raise exception 'attempt % has lost its lease', ended_attempt_id using errcode = 'SL001';
    end if;
    update sluice.task_run t
    set state = 'success', output = ended_output, reason = null, not_before = null, finished_at = clock_timestamp()
    where t.task_run_id = ended_task_run_id;
    if cardinality(log_seq) > 0 then
        insert into sluice.task_log (attempt_id, seq, at, level, line)
        select ended_attempt_id, l.* from unnest(log_seq, log_at, log_level, log_line) as l(seq, at, level, line)
        on conflict do nothing;
    end if;
    for next in
        update sluice.task_run t
        set needs_open = t.needs_open - 1,
            state = case when t.needs_open = 1 then 'queued' else t.state end,
            queued_at = case when t.needs_open = 1 then clock_timestamp() end
        from sluice.task_edge e
        where e.run_id = ended_run_id and e.needs = ended_task
          and t.run_id = e.run_id and t.task = e.task and t.state = 'waiting'
        returning t.*
    loop
        ready := ready + (next.state = 'queued')::int;
        if next.state = 'queued' and next.needs_failed + next.needs_skipped > 0 then
            raise exception 'the rule of task % has to decide', next.task using errcode = 'SL002';
        end if;
    end loop;
    update sluice.dag_run r set tasks_open = r.tasks_open - 1 where r.run_id = ended_run_id;

    select t.* into next
    from sluice.task_run t
    where t.state = 'queued' and t.admitted
      and (cardinality(queues) = 0 or t.queue = any (queues))
      and t.kind = any (kinds)
      and t.labels <@ hand_over.labels
      and t.not_before is null
      and (only_run is null or t.run_id = only_run)
    order by t.rank, t.task_run_id
    limit 1
    for update skip locked;
    if ready > found::int then
        perform pg_notify('sluice_queue', '');
    end if;
    done := true;
    if next.task_run_id is null then
        return next;
        return;
    end if;
    update sluice.task_run t
    set state = 'running', attempts = next.attempts + 1, not_before = null,
        started_at = coalesce(next.started_at, clock_timestamp()), finished_at = null, reason = null
    where t.task_run_id = next.task_run_id;
    insert into sluice.attempt as a (task_run_id, attempt, worker, state, lease_until, queued_at, started_at)
    values (next.task_run_id, next.attempts + 1, claiming_worker, 'running',
            clock_timestamp() + make_interval(secs => lease_seconds), coalesce(next.queued_at, clock_timestamp()),
            clock_timestamp())
    returning a.attempt_id, a.token into attempt_id, token;
    return query
    select true, attempt_id, token, next.attempts + 1, next.max_attempts, next.run_id, next.task_run_id, next.task,
           next.kind, r.dag, r.version, r.logical_time, r.interval_start, r.interval_end, r.params,
           r.started_at is null,
           coalesce((
               select jsonb_object_agg(n.task, n.output)
               from sluice.task_edge e
               join sluice.task_run n on n.run_id = e.run_id and n.task = e.needs
               where e.run_id = next.run_id and e.task = next.task and n.output is not null
           ), '{}')
    from sluice.dag_run r
    where r.run_id = next.run_id;
end
$$;
