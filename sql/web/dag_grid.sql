-- The last runs of each DAG by logical time, oldest first: the squares of the overview. The archive has none of them. $1 dag (null = all), $2 runs a DAG.
select r.run_id, r.dag, r.logical_time, r.state, r.trigger, r.started_at,
       extract(epoch from coalesce(r.finished_at, now()) - r.started_at)::float8 as seconds
from sluice.dags d
cross join lateral (
    select run_id, dag, logical_time, state, trigger, started_at, finished_at
    from sluice.dag_run
    where dag = d.dag
    order by logical_time desc
    limit $2
) r
where d.retired_at is null and ($1::text is null or d.dag = $1)
order by r.dag, r.logical_time
