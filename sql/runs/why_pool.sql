-- Who holds the slots of a pool.
select p.slots, t.run_id, r.dag, t.task, t.state, coalesce(t.started_at, t.queued_at) as since
from sluice.pool p
join sluice.task_run t on t.pool = p.pool and t.admitted and t.state in ('queued', 'running')
join sluice.dag_run r using (run_id)
where p.pool = $1
order by since;
