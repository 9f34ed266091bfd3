-- The loads of run $1 that publish what its task $2 extracts, and where to, as the run's own plan has it.
select t ->> 'name', t -> 'config' ->> 'into'
from sluice.dag_run r
join sluice.dag_version v on v.dag = r.dag and v.version = r.version
cross join lateral jsonb_array_elements(v.plan -> 'tasks') as t
where r.run_id = $1 and t ->> 'kind' = 'load' and t -> 'config' ->> 'from' = $2
