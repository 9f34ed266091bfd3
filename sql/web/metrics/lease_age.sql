-- The oldest attempt that still holds its lease, by queue: seconds since it began.
select t.queue, extract(epoch from now() - min(a.started_at))::float8 as oldest_seconds,
       count(*) filter (where a.lease_until < now()) as expired
from sluice.attempt a
join sluice.task_run t using (task_run_id)
where a.state = 'running'
group by t.queue
order by t.queue
