select a.worker, t.run_id, r.dag, t.task, a.attempt, a.started_at as since, a.lease_until
from sluice.attempt a
join sluice.task_run t using (task_run_id)
join sluice.dag_run r using (run_id)
where a.state = 'running'
order by a.started_at, a.attempt_id;
