-- The pools with tasks that wait for a slot, and the DAGs with runs that wait for their turn.
select 'pool' as what, pool as name, 0 as most
from sluice.task_run
where pool is not null and state = 'queued' and not admitted
  and (not_before is null or not_before <= clock_timestamp())
group by pool
union all
select 'dag', r.dag, max((v.plan ->> 'max_active_runs')::int)
from sluice.dag_run r
join sluice.dag_version v using (dag, version)
where r.state = 'queued'
group by r.dag;
