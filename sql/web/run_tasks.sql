-- The tasks of a run, in the order they were planned; the items of mapped ones are counted by state, and
-- the one that is asked for is among them. $1 run_id, $2 an item (null = none).
select t.task, t.kind, t.queue, t.state, t.attempts, t.queued_at, t.not_before, t.started_at, t.finished_at,
       extract(epoch from coalesce(t.finished_at, now()) - t.started_at)::float8 as seconds,
       t.reason, t.output,
       coalesce(e.needs, '{}') as needs, i.items
from sluice.task_run t
left join lateral (
    select array_agg(needs order by needs) as needs from sluice.task_edge where run_id = t.run_id and task = t.task
) e on true
left join lateral (
    select jsonb_build_object('total', t.mapped) || jsonb_object_agg(s.state, s.n) as items
    from (
        select c.state, count(*) as n from sluice.task_run c
        where c.run_id = t.run_id and c.parent = t.task and c.place < t.mapped group by c.state
    ) s
) i on t.mapped > 0
where t.run_id = $1 and (t.parent is null or t.task = $2)
order by t.started_at nulls last, t.task
