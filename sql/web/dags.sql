-- The DAGs now deployed, with their latest run, which the archive never has. $1 dag (null = all).
select d.dag, d.description, d.schedule, d.timezone, d.paused, d.next_run_at, d.version, d.deployed_at,
       coalesce(v.plan -> 'triggers', '[]') as triggers,
       r.run_id as last_run_id, r.state as last_state, r.created_at as last_run_at, s.last_success_at
from sluice.dags d
left join sluice.dag_version v on v.dag = d.dag and v.version = d.version
left join lateral (
    select run_id, state, created_at from sluice.dag_run where dag = d.dag order by run_id desc limit 1
) r on true
left join lateral (
    select max(finished_at) as last_success_at from sluice.dag_run where dag = d.dag and state = 'success'
) s on true
where d.retired_at is null and ($1::text is null or d.dag = $1)
order by d.dag
