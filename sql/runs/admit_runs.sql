-- Moves runs of a DAG on that wait for their turn, the oldest logical time first, as far as there is room. Gives the
-- pools of the tasks that are ready with them. Call it under the DAG's lock.
with picked as (
    select run_id
    from sluice.dag_run
    where dag = $1 and state = 'queued'
    order by logical_time
    limit greatest($2 - (select count(*) from sluice.dag_run where dag = $1 and state = 'running'), 0)
    for update skip locked
), runs as (
    update sluice.dag_run r
    set state = 'running', reason = null
    from picked
    where r.run_id = picked.run_id
    returning r.run_id
), tasks as (
    update sluice.task_run t
    set state = 'queued', reason = null, queued_at = clock_timestamp(), admitted = t.pool is null
    from runs
    where t.run_id = runs.run_id and t.state = 'waiting' and t.needs_open = 0
    returning t.pool
)
select coalesce(array_agg(distinct tasks.pool) filter (where tasks.pool is not null), '{}') as pools,
       pg_notify('sluice_queue', '')::text as told
from tasks
having count(*) > 0;
