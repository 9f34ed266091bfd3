-- The runs whose last task has ended: how they stand, and what a notice about them needs.
select r.run_id, r.dag, r.logical_time, v.plan -> 'on_failure' as on_failure, v.plan ->> 'timezone' as timezone,
       coalesce(f.faults, '[]') as faults, f.attempts
from sluice.dag_run r
join sluice.dag_version v using (dag, version)
cross join lateral (
    select jsonb_agg(jsonb_build_array(t.task, t.reason) order by t.finished_at, t.task_run_id)
               filter (where t.state = 'failed') as faults,
           sum(t.attempts)::bigint as attempts
    from sluice.task_run t
    where t.run_id = r.run_id
) f
where r.run_id = any ($1);
