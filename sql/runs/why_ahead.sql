-- How many tasks a worker would take before this one.
select count(*)
from sluice.task_run o
join sluice.task_run t on t.run_id = $1 and t.task = $2
where o.state = 'queued' and o.admitted and o.not_before is null
  and (o.rank, o.task_run_id) < (t.rank, t.task_run_id);
