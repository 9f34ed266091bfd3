select t.task, t.kind, t.queue, t.state, t.attempts, t.max_attempts, t.not_before, t.started_at, t.finished_at,
       t.reason, t.output, coalesce(e.needs, '{}') as needs,
       t.state = 'failed' and coalesce(a.gate, false) as gate, case when t.state = 'failed' then a.service end as service
from sluice.task_run t
left join lateral (
    select array_agg(e.needs order by e.needs) as needs
    from sluice.task_edge e
    where e.run_id = t.run_id and e.task = t.task
) e on true
left join lateral (
    select a.gate, a.service from sluice.attempt a where a.task_run_id = t.task_run_id order by a.attempt desc limit 1
) a on true
where t.run_id = $1
order by t.task_run_id;
