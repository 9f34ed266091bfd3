-- DAGs whose next run is due, or that were never planned; the plan tells the rest. A page, behind the place given.
select d.dag, d.next_run_at, d.next_fire_at, v.plan
from sluice.dag d
join sluice.dag_version v using (dag, version)
where not d.paused and d.retired_at is null and d.next_run_at <= $1
  and ($2::timestamptz is null or (d.next_run_at, d.dag) > ($2, $3))
order by d.next_run_at, d.dag
limit 100;
