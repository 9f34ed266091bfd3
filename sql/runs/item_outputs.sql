-- What the items of a mapped task left, in the list's order, as far as they succeeded; nothing where its list is not made yet.
select c.output
from sluice.task_run p
join sluice.task_run c on c.run_id = p.run_id and c.parent = p.task and c.place < p.mapped
where p.task_run_id = $1
order by c.place;
