-- DAGs whose next run is due, or that were never planned; the plan tells the rest. A page, behind the place given. Which
-- ones is decided first, so that plans are read of those alone.
with due as materialized (
    select dag, version, next_run_at, next_fire_at
    from sluice.dag
    where not paused and retired_at is null and next_run_at <= $1
      and ($2::timestamptz is null or (next_run_at, dag) > ($2, $3))
    order by next_run_at, dag
    limit 100
)
select due.dag, due.next_run_at, due.next_fire_at, v.plan
from due
join sluice.dag_version v using (dag, version)
order by due.next_run_at, due.dag;
