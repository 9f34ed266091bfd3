-- Tasks that have not ended, by queue and state, and how long the oldest has stood so.
select queue, state, count(*) as tasks,
       coalesce(max(extract(epoch from now() - coalesce(started_at, greatest(queued_at, not_before)))), 0)::float8 as oldest_seconds
from sluice.tasks
where state in ('queued', 'running')
group by queue, state
order by queue, state
