-- DAGs whose next run is due, or that were never planned; the plan tells the rest.
select d.dag, d.version, d.next_fire_at, v.plan
from sluice.dag d
join sluice.dag_version v using (dag, version)
where not d.paused and d.retired_at is null and d.next_run_at <= $1
order by d.next_run_at
limit 100;
