-- What an item of a mapped task works on: itself, its place, and the outputs that its task reads.
select t.item, t.place, coalesce((
           select jsonb_object_agg(n.task, n.output)
           from sluice.task_edge e
           join sluice.task_run n on n.run_id = e.run_id and n.task = e.needs
           where e.run_id = t.run_id and e.task = t.parent and n.output is not null
       ), '{}') as inputs
from sluice.task_run t
where t.task_run_id = $1;
