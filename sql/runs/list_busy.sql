select a.worker, a.run_id, r.dag, a.task, a.attempt, a.started_at as since, a.lease_until
from sluice.running_attempt a
join sluice.dag_run r using (run_id)
order by a.started_at, a.attempt_id;
