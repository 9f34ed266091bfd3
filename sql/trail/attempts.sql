-- Attempts after $2 and up to $3, and those whose end is still to be told to $1 and has come; $4 of each at most. One that
-- was a look in vain has no row any more: the next look is told as the same attempt, and where none came, the task's end is.
with fresh as (
    select attempt_id, task_run_id, attempt
    from sluice.attempt
    where attempt_id > $2 and attempt_id <= $3
    order by attempt_id
    limit $4
), ended as (
    select o.task_run_id, o.attempt
    from sluice.trail_attempt o
    left join sluice.attempt a using (task_run_id, attempt)
    left join sluice.task_run t using (task_run_id)
    where o.sink = $1
      and (a.state <> 'running' or (a.attempt_id is null and (t.finished_at is not null or t.task_run_id is null)))
    order by o.task_run_id, o.attempt
    limit $4
), picked as (
    select task_run_id, attempt, max(walked) as walked
    from (
        select task_run_id, attempt, attempt_id as walked from fresh
        union all
        select task_run_id, attempt, null from ended
    ) both_of_them
    group by task_run_id, attempt
)
select p.walked, p.task_run_id, p.attempt, o.sink is not null as told, t.run_id, t.task, t.parent, t.kind, t.queue,
       a.attempt_id, a.worker, a.queued_at, a.started_at,
       case when a.attempt_id is null then t.state when a.state <> 'running' then a.state end as state,
       case when a.attempt_id is null then t.finished_at else a.finished_at end as finished_at,
       a.error_domain, case when a.attempt_id is null then t.reason else a.error end as error, a.service,
       case when a.state = 'success' and t.attempts = p.attempt then t.output end as output, t.item
from picked p
left join sluice.trail_attempt o on o.sink = $1 and o.task_run_id = p.task_run_id and o.attempt = p.attempt
left join sluice.task_run t on t.task_run_id = p.task_run_id
left join sluice.attempt a on a.task_run_id = p.task_run_id and a.attempt = p.attempt
order by coalesce(p.walked, 0), p.task_run_id, p.attempt;
