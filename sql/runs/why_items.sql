-- The first items of a mapped task that failed.
select t.task, t.reason
from sluice.task_run p
join sluice.task_run t on t.run_id = p.run_id and t.parent = p.task and t.place < p.mapped
where p.run_id = $1 and p.task = $2 and t.state = 'failed'
order by t.place
limit 5;
