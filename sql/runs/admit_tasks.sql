-- Gives free slots of pools to the queued tasks that wait for them, by rank. Call it under the pools'
-- locks, in a statement of its own: the snapshot must be younger than the locks.
with picked as (
    select free.task_run_id
    from sluice.pool p
    cross join lateral (
        select count(*) as taken
        from sluice.task_run t
        where t.pool = p.pool and t.admitted and t.state in ('queued', 'running')
    ) used
    cross join lateral (
        select t.task_run_id
        from sluice.task_run t
        where t.pool = p.pool and not t.admitted and t.state = 'queued'
          and (t.not_before is null or t.not_before <= clock_timestamp())
        order by t.rank, t.task_run_id
        limit greatest(p.slots - used.taken, 0)
        for update skip locked
    ) free
    where p.pool = any ($1)
), admitted as (
    update sluice.task_run t set admitted = true from picked where t.task_run_id = picked.task_run_id returning 1
)
select count(*) as tasks, pg_notify('sluice_queue', '')::text as told from admitted having count(*) > 0;
