-- A page of runs, newest first. $1 dag, $2 state, $3 trigger (each null = any), $4 older than this run, $5 how many.
select r.run_id, r.dag, r.logical_time, r.state, r.trigger, r.created_at, r.started_at, r.finished_at,
       extract(epoch from coalesce(r.finished_at, now()) - r.started_at)::float8 as seconds,
       t.tasks, t.ended, t.failed
from sluice.runs r
cross join lateral (
    select count(*) as tasks,
           count(*) filter (where state in ('success', 'failed', 'skipped', 'upstream_failed', 'cancelled')) as ended,
           count(*) filter (where state = 'failed') as failed
    from sluice.tasks
    where run_id = r.run_id
) t
where ($1::text is null or r.dag = $1)
  and ($2::text is null or r.state = $2)
  and ($3::text is null or r.trigger = $3)
  and ($4::bigint is null or r.run_id < $4)
order by r.run_id desc
limit $5
