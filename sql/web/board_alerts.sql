-- How many alerts are open, by severity.
select severity, count(*) as alerts
from sluice.alerts
where state = 'open' and raised_at > now() - interval '7 days'
group by severity
