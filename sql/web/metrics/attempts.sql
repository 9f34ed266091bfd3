-- Attempts ever made, by state and the side that a fault was on.
select state, coalesce(error_domain, '') as domain, count(*) as attempts
from sluice.attempts
group by state, error_domain
order by state, domain
