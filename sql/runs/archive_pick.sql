-- The next runs that ended before $1, in the order of their ends, after the run $3 that ended at $2; and of each whether it
-- can go to the archive, and how many tasks it has, up to $5. $4 is how many of its DAG's latest runs stay.
select r.run_id, r.finished_at,
       r.state in ('success', 'failed', 'cancelled', 'skipped')
       -- Nothing makes a run of an instant anew that is archived, and those are looked for only where it is long ago.
       and r.logical_time < $1
       and exists (select from sluice.dag_run n where n.dag = r.dag and n.run_id > r.run_id
                   order by n.run_id desc offset $4 - 1 limit 1)
       and exists (select from sluice.dag_run n where n.dag = r.dag and n.logical_time > r.logical_time
                   order by n.logical_time offset $4 - 1 limit 1)
       -- A DAG's last success, and the last run that its schedule made, are asked for whenever they were.
       and (r.state <> 'success' or exists (
           select from sluice.dag_run n where n.dag = r.dag and n.state = 'success' and n.finished_at > r.finished_at))
       and (r.trigger <> 'schedule' or exists (
           select from sluice.dag_run n where n.dag = r.dag and n.run_id > r.run_id and n.trigger = 'schedule'))
       and not exists (
           select from sluice.dag_run o where o.backfill_id = r.backfill_id and o.state in ('queued', 'running'))
       and not exists (
           select from sluice.task_run t
           where t.run_id = r.run_id
             and (t.state in ('queued', 'running')
                  or exists (select from sluice.attempt a where a.task_run_id = t.task_run_id and a.state = 'running'))
       ) as can_go,
       (select count(*) from (select from sluice.task_run t where t.run_id = r.run_id limit $5) t) as tasks
from sluice.dag_run r
where r.finished_at < $1 and (r.finished_at, r.run_id) > ($2, $3)
order by r.finished_at, r.run_id
limit $6
