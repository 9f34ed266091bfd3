-- Outputs of the tasks that the tasks of attempts need.
select a.attempt_id, n.task, n.output
from sluice.attempt a
join sluice.task_run t using (task_run_id)
join sluice.task_edge e on e.run_id = t.run_id and e.task = coalesce(t.parent, t.task)
join sluice.task_run n on n.run_id = e.run_id and n.task = e.needs
where a.attempt_id = any ($1) and n.output is not null;
