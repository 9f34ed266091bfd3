-- Claims up to $3 queued tasks: each goes to `running` and gets an attempt with a lease and a token.
with picked as (
    select task_run_id
    from sluice.task_run
    where state = 'queued' and admitted
      and (cardinality($1::text[]) = 0 or queue = any ($1))
      and kind = any ($2)
      and labels <@ $7
      and not_before is null
      and ($6::bigint is null or run_id = $6)
    order by rank, task_run_id
    limit $3
    for update skip locked
), started as (
    update sluice.task_run t
    set state = 'running',
        attempts = t.attempts + 1,
        not_before = null,
        started_at = coalesce(t.started_at, clock_timestamp()),
        finished_at = null,
        reason = null
    from picked
    where t.task_run_id = picked.task_run_id
    returning t.*
), opened as (
    insert into sluice.attempt (task_run_id, attempt, worker, state, lease_until, queued_at, started_at)
    select task_run_id, attempts, $4, 'running', clock_timestamp() + make_interval(secs => $5),
           coalesce(queued_at, clock_timestamp()), clock_timestamp()
    from started
    returning attempt_id, task_run_id, token
)
select o.attempt_id, o.token, s.attempts as attempt, s.max_attempts, s.run_id, s.task_run_id, s.task, s.kind, r.dag, r.version,
       r.logical_time, r.interval_start, r.interval_end, r.params, r.started_at is null as first,
       coalesce((
           select jsonb_object_agg(n.task, n.output)
           from sluice.task_edge e
           join sluice.task_run n on n.run_id = e.run_id and n.task = e.needs
           where e.run_id = s.run_id and e.task = s.task and n.output is not null
       ), '{}') as inputs
from opened o
join started s using (task_run_id)
join sluice.dag_run r using (run_id)
order by s.rank, s.task_run_id;
