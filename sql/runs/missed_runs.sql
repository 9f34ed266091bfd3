-- Runs that have not ended by their deadline; each is given once.
with late as (
    select run_id
    from sluice.dag_run
    where state in ('queued', 'running') and deadline_missed_at is null and deadline_at <= $1
    order by deadline_at
    limit 100
    for update skip locked
)
update sluice.dag_run r
set deadline_missed_at = $1
from late, sluice.dag_version v
where r.run_id = late.run_id and v.dag = r.dag and v.version = r.version
returning r.run_id, r.dag, null::text as task, r.state, r.logical_time, r.deadline_at,
          v.plan -> 'on_failure' as channels, v.plan ->> 'timezone' as timezone;
