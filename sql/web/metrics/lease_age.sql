-- The oldest attempt that still holds its lease, by queue: seconds since it began.
select queue, extract(epoch from now() - min(started_at))::float8 as oldest_seconds,
       count(*) filter (where lease_until < now()) as expired
from sluice.running_attempt
group by queue
order by queue
