-- The last output of each of some tasks, over all runs of the DAG.
select distinct on (t.task) t.task, t.run_id, t.output
from sluice.task_run t
join sluice.dag_run r using (run_id)
where r.dag = $1 and t.task = any ($2) and t.state = 'success'
order by t.task, t.run_id desc;
