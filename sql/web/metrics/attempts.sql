-- Attempts ever made, by state and the side that a fault was on.
select state, domain, sum(attempts)::bigint as attempts
from (
    select state, coalesce(error_domain, '') as domain, count(*) as attempts
    from sluice.attempts
    group by state, error_domain
    union all
    select state, domain, attempts from sluice.counted_attempts
) counted
group by state, domain
order by state, domain
