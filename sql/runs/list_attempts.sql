select a.attempt_id, t.task, a.attempt, a.worker, a.state, a.error_domain, a.error, a.queued_at, a.started_at, a.finished_at
from sluice.task_run t
join sluice.attempt a using (task_run_id)
where t.run_id = $1
order by a.attempt_id;
