-- What checks found during attempts.
select a.attempt_id, c.dataset, c.suite, c.check_id, c.outcome, c.on_fail, c.observed
from sluice.attempt a
join sluice.task_run t using (task_run_id)
join sluice.check_result c on c.run_id = t.run_id and c.task = t.task and c.at between a.started_at and a.finished_at
where a.attempt_id = any ($1)
order by c.result_id;
