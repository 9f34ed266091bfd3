-- Who leads, by role: seconds that are left of the lease; negative once it has run out.
select role, extract(epoch from lease_until - now())::float8 as seconds_left
from sluice.leaders
order by role
