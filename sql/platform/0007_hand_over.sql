-- The queue's hot path.

-- One task after another without a pause: the end of an attempt that went well, and the claim of the next task, in one
-- round trip and one commit. It does what finish.sql, count_down.sql, settle.sql and claim.sql do, for the common case:
-- one end, no pool to pass a slot of, no successor that its trigger rule leaves out, and a run that goes on. Where the run
-- does not, it changes nothing and says so with `done = false`. An attempt that has lost its lease (SL001) and a
-- successor about which a rule has to decide (SL002) are errors. In all three cases the caller takes the long way.
--
-- The caller has seen to it that neither the task nor a successor has a pool, and that no successor's rule leaves it out
-- when all that it needs went well. `only_successor` is the task behind it, where there is just one: that goes from
-- waiting to running in one step, if it is the worker's to take and nothing in the queue comes before it.
create function sluice.hand_over(
    ended_attempt_id bigint, ended_token bigint, ended_run_id bigint, ended_task_run_id bigint, ended_task text,
    ended_output jsonb, log_seq bigint[], log_at timestamptz[], log_level text[], log_line text[], only_successor text,
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
    run sluice.dag_run;
    ready int := 0;
    next sluice.task_run;
begin
    -- First the run's lock, as all do who change its tasks.
    update sluice.dag_run r
    set tasks_open = r.tasks_open - 1, started_at = coalesce(r.started_at, clock_timestamp())
    where r.run_id = ended_run_id and r.cancel_requested_at is null and r.tasks_open > 1
    returning r.* into run;
    if not found then
        done := false;
        return next;
        return;
    end if;
    done := true;

    update sluice.attempt a
    set state = 'success', finished_at = clock_timestamp()
    where a.attempt_id = ended_attempt_id and a.token = ended_token and a.finished_at is null;
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

    if only_successor is not null then
        update sluice.task_run t
        set needs_open = 0, state = 'running', attempts = t.attempts + 1, queued_at = clock_timestamp(),
            started_at = coalesce(t.started_at, clock_timestamp()), reason = null
        from sluice.task_edge e
        where e.run_id = ended_run_id and e.needs = ended_task and e.task = only_successor
          and t.run_id = ended_run_id and t.task = only_successor
          and t.state = 'waiting' and t.admitted and t.needs_open = 1 and t.needs_failed + t.needs_skipped = 0
          and (cardinality(queues) = 0 or t.queue = any (queues))
          and t.kind = any (kinds)
          and t.labels <@ hand_over.labels
          and not exists (
              select from sluice.task_run q
              where q.state = 'queued' and q.admitted
                and (cardinality(queues) = 0 or q.queue = any (queues))
                and q.kind = any (kinds)
                and q.labels <@ hand_over.labels
                and q.not_before is null
                and (only_run is null or q.run_id = only_run)
                and (q.rank, q.task_run_id) < (t.rank, t.task_run_id)
          )
        returning t.* into next;
    end if;
    if next.task_run_id is null then
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
        if next.task_run_id is null then
            return next;
            return;
        end if;
        update sluice.task_run t
        set state = 'running', attempts = t.attempts + 1, not_before = null,
            started_at = coalesce(t.started_at, clock_timestamp()), finished_at = null, reason = null
        where t.task_run_id = next.task_run_id
        returning t.* into next;
    end if;

    insert into sluice.attempt as a (task_run_id, attempt, worker, state, lease_until, queued_at, started_at)
    values (next.task_run_id, next.attempts, claiming_worker, 'running',
            clock_timestamp() + make_interval(secs => lease_seconds), coalesce(next.queued_at, clock_timestamp()),
            clock_timestamp())
    returning a.attempt_id, a.token into attempt_id, token;
    if next.run_id <> run.run_id then
        select r.* into run from sluice.dag_run r where r.run_id = next.run_id;
    end if;
    attempt := next.attempts;
    max_attempts := next.max_attempts;
    run_id := next.run_id;
    task_run_id := next.task_run_id;
    task := next.task;
    kind := next.kind;
    dag := run.dag;
    version := run.version;
    logical_time := run.logical_time;
    interval_start := run.interval_start;
    interval_end := run.interval_end;
    params := run.params;
    first := run.started_at is null;
    inputs := coalesce((
        select jsonb_object_agg(n.task, n.output)
        from sluice.task_edge e
        join sluice.task_run n on n.run_id = e.run_id and n.task = e.needs
        where e.run_id = next.run_id and e.task = next.task and n.output is not null
    ), '{}');
    return next;
end
$$;
