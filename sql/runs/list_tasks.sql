select t.task, t.kind, t.queue, t.state, t.attempts, t.max_attempts, t.not_before, t.started_at, t.finished_at,
       t.reason, t.output, coalesce(e.needs, '{}') as needs,
       t.state = 'failed' and coalesce(i.gate, a.gate, false) as gate,
       case when t.state = 'failed' then coalesce(i.service, a.service) end as service, i.items, t.looks
from sluice.task_run t
left join lateral (
    select array_agg(e.needs order by e.needs) as needs
    from sluice.task_edge e
    where e.run_id = t.run_id and e.task = t.task
) e on true
left join lateral (
    select a.gate, a.service from sluice.attempt a where a.task_run_id = t.task_run_id order by a.attempt desc limit 1
) a on true
left join lateral (
    -- How the items of a mapped task stand, and what those that failed have in common.
    select jsonb_build_object('total', t.mapped) || jsonb_object_agg(s.state, s.n) as items,
           bool_and(s.gate) filter (where s.state = 'failed') as gate,
           min(s.service) filter (where s.state = 'failed') as service
    from (
        select c.state, count(*) as n, bool_and(coalesce(l.gate, false)) as gate,
               case when count(l.service) = count(*) then min(l.service) end as service
        from sluice.task_run c
        left join lateral (
            select l.gate, l.service from sluice.attempt l
            where c.state = 'failed' and l.task_run_id = c.task_run_id order by l.attempt desc limit 1
        ) l on true
        where c.run_id = t.run_id and c.parent = t.task and c.place < t.mapped
        group by c.state
    ) s
) i on t.mapped > 0
where t.run_id = $1 and t.parent is null
order by t.task_run_id;
