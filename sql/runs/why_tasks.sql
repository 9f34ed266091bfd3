-- What there is to know about why the tasks of a run stand as they do.
select t.task, t.kind, t.queue, t.state, t.reason, t.attempts, t.max_attempts, t.pool, t.labels,
       t.pool is not null and not t.admitted as wants_slot, t.not_before, t.queued_at, t.started_at, t.finished_at,
       t.deadline_at, t.deadline_missed_at is not null as late, coalesce(e.needs, '{}') as needs,
       a.worker, a.started_at as attempt_at, a.lease_until, a.error_domain, a.error, coalesce(a.gate, false) as gate,
       l.line as last_line, l.at as last_line_at, p.usual, i.items, t.looks
from sluice.task_run t
join sluice.dag_run r using (run_id)
left join lateral (
    select array_agg(e.needs order by e.needs) as needs from sluice.task_edge e where e.run_id = t.run_id and e.task = t.task
) e on true
left join lateral (
    select a.* from sluice.attempt a where a.task_run_id = t.task_run_id order by a.attempt desc limit 1
) a on true
left join lateral (
    select l.line, l.at from sluice.task_log l where l.attempt_id = a.attempt_id order by l.seq desc limit 1
) l on true
left join lateral (
    -- How long the task takes, by its last 20 runs that went well; they are looked for where work goes on, wherever this
    -- run is, and then in the archive.
    select percentile_cont(0.5) within group (order by extract(epoch from s.finished_at - s.started_at)) as usual
    from (
        (
            select x.started_at, x.finished_at
            from sluice."dag_run" y
            join sluice."task_run" x using (run_id)
            where y.dag = r.dag and y.run_id < r.run_id and x.task = t.task and x.state = 'success'
            order by y.run_id desc
            limit 20
        )
        union all
        -- Not looked at where those are enough.
        (
            select x.started_at, x.finished_at
            from sluice_archive.dag_run y
            join sluice_archive.task_run x on x.run_id = y.run_id and x.run_created_at = y.created_at
            where y.dag = r.dag and y.run_id < r.run_id and x.task = t.task and x.state = 'success'
            order by y.run_id desc
            limit 20
        )
        limit 20
    ) s
    having count(*) >= 3
) p on true
left join lateral (
    select jsonb_object_agg(s.state, s.n) as items
    from (
        select c.state, count(*) as n from sluice.task_run c
        where c.run_id = t.run_id and c.parent = t.task and c.place < t.mapped group by c.state
    ) s
) i on t.mapped > 0
where t.run_id = $1 and (t.parent is null or t.task = $2)
order by t.task_run_id;
