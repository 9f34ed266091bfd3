-- Puts tasks whose time has come into the queue. Gives how many.
with due as (
    select task_run_id
    from sluice.task_run
    where state = 'queued' and not_before <= clock_timestamp()
    order by not_before
    limit 1000
    for update skip locked
), released as (
    update sluice.task_run t set not_before = null from due where t.task_run_id = due.task_run_id returning t.admitted
)
select count(*) from released;
