-- The runs whose last task has ended: how they stand, and what a notice about them needs. A mapped task speaks for its
-- items.
select r.run_id, r.dag, r.logical_time, r.state, coalesce((v.plan ->> 'max_active_runs')::int, case when r.backfill_id is not null then 2147483647 end)
           as max_active_runs,
       v.plan -> 'on_failure' as on_failure, v.plan ->> 'timezone' as timezone,
       coalesce(f.faults, '[]') as faults, f.fatal, f.attempts, f.stopped, coalesce(f.items, '{}') as items
from sluice.dag_run r
join sluice.dag_version v using (dag, version)
cross join lateral (
    select jsonb_agg(jsonb_build_array(t.task, t.reason) order by t.finished_at, t.task_run_id)
               filter (where t.state = 'failed' and t.parent is null) as faults,
           count(*) filter (where t.state = 'failed' and t.trigger_rule <> 'teardown' and t.parent is null) > 0 as fatal,
           count(*) filter (where t.state = 'cancelled' and t.parent is null) > 0 as stopped,
           sum(t.attempts)::bigint as attempts,
           array_agg(distinct t.pool) filter (where t.parent is not null and t.pool like 'items %') as items
    from sluice.task_run t
    where t.run_id = r.run_id
) f
where r.run_id = any ($1);
