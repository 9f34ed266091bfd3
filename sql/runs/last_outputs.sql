-- The last output of each of some tasks, over all runs of the DAG.
select n.task, l.run_id, l.output
from unnest($2::text[]) as n(task)
cross join lateral (
    (
        select r.run_id, t.output
        from sluice.dag_run r
        join sluice.task_run t using (run_id)
        where r.dag = $1 and t.task = n.task and t.state = 'success'
        order by r.run_id desc
        limit 1
    )
    union all
    (
        select r.run_id, t.output
        from sluice_archive.dag_run r
        join sluice_archive.task_run t on t.run_id = r.run_id and t.run_created_at = r.created_at
        where r.dag = $1 and t.task = n.task and t.state = 'success'
        order by r.run_id desc
        limit 1
    )
    limit 1
) l;
