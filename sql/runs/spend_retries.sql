-- Takes the retries that ends ask for ($3) off the budgets of their runs; gives the attempts for which none is left. Locks
-- the runs of all the ends, in order, as finish.sql does after it.
with asked as materialized (
    select e.retry, a.attempt_id, t.run_id
    from unnest($1::bigint[], $2::bigint[], $3::bool[]) as e(attempt_id, token, retry)
    join sluice.attempt a using (attempt_id, token)
    join sluice.task_run t using (task_run_id)
    where a.state = 'running'
), runs as materialized (
    select run_id, retries_left
    from sluice.dag_run
    where run_id in (select run_id from asked)
    order by run_id
    for update
), placed as (
    select a.attempt_id, a.run_id, r.retries_left,
           row_number() over (partition by a.run_id order by a.attempt_id) as place
    from asked a
    join runs r using (run_id)
    where a.retry and r.retries_left is not null
), spent as (
    update sluice.dag_run d
    set retries_left = greatest(d.retries_left - p.retries, 0)
    from (select run_id, count(*)::int as retries from placed group by run_id) p
    where d.run_id = p.run_id
)
select attempt_id from placed where place > retries_left;
