-- Moves runs of a DAG on that wait for their turn, as far as there is room: first those that a schedule or a person
-- asked for one by one, the oldest logical time first, then those of backfills in each one's order, as many as each one
-- allows at once. Gives the pools of the tasks that are ready with them. Call it under the DAG's lock.
with busy as materialized (
    select backfill_id, count(*) as under_way
    from sluice.dag_run
    where dag = $1 and state = 'running' and backfill_id is not null
    group by backfill_id
), waiting as (
    select r.run_id, r.backfill_id is null as single, b.parallel,
           row_number() over (partition by r.backfill_id
                              order by case when b.newest_first then r.logical_time end desc, r.logical_time) as place,
           coalesce(o.under_way, 0) as under_way
    from sluice.dag_run r
    left join sluice.backfill b using (backfill_id)
    left join busy o using (backfill_id)
    where r.dag = $1 and r.state = 'queued'
), picked as (
    select r.run_id
    from sluice.dag_run r
    join waiting w using (run_id)
    where r.state = 'queued' and (w.single or w.place + w.under_way <= w.parallel)
    order by w.single desc, w.place
    limit greatest($2 - (select count(*) from sluice.dag_run where dag = $1 and state = 'running'), 0)
    for update of r skip locked
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
