-- Processes that have not said goodbye, by role, and how long ago the latest of each role was seen.
select role, count(*) filter (where seen_at > now() - interval '1 minute') as alive,
       extract(epoch from now() - max(seen_at))::float8 as seen_seconds
from sluice.processes
where stopped_at is null
group by role
order by role
