-- Tasks that have not ended by their deadline; each is given once.
with late as (
    select task_run_id
    from sluice.task_run
    where state in ('waiting', 'queued', 'running') and deadline_missed_at is null and deadline_at <= $1
    order by deadline_at
    limit 100
    for update skip locked
)
update sluice.task_run t
set deadline_missed_at = $1
from late, sluice.dag_run r, sluice.dag_version v
where t.task_run_id = late.task_run_id and r.run_id = t.run_id and v.dag = r.dag and v.version = r.version
returning t.run_id, r.dag, t.task, t.state, r.logical_time, t.deadline_at, v.plan -> 'on_failure' as channels,
          v.plan ->> 'timezone' as timezone;
