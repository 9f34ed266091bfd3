-- The pools with tasks that wait for a slot, and the DAGs with runs that wait for their turn.
select 'pool' as what, pool as name, 0 as most
from sluice.task_run
where pool is not null and state = 'queued' and not admitted
  and (not_before is null or not_before <= clock_timestamp())
group by pool
union all
select 'dag', r.dag, max(coalesce((v.plan ->> 'max_active_runs')::int, 2147483647))
from (select distinct dag, version from sluice.dag_run where state = 'queued') r
join sluice.dag_version v using (dag, version)
group by r.dag;
