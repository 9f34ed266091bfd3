-- The tasks of a run, in the order they were planned. $1 run_id.
select t.task, t.kind, t.queue, t.state, t.attempts, t.queued_at, t.not_before, t.started_at, t.finished_at,
       extract(epoch from coalesce(t.finished_at, now()) - t.started_at)::float8 as seconds,
       t.reason, t.output,
       coalesce(e.needs, '{}') as needs
from sluice.tasks t
left join lateral (
    select array_agg(needs order by needs) as needs from sluice.task_edges where run_id = t.run_id and task = t.task
) e on true
where t.run_id = $1
order by t.started_at nulls last, t.task
