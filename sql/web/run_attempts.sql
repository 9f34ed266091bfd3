-- Every attempt of a run's tasks. $1 run_id, $2 task (null = all, without the items of mapped ones).
select task, attempt, worker, state, error_domain, error, queued_at, started_at, finished_at,
       extract(epoch from coalesce(finished_at, now()) - started_at)::float8 as seconds
from sluice.attempts
where run_id = $1 and (task = $2 or ($2::text is null and task not like '%]'))
order by task, attempt
