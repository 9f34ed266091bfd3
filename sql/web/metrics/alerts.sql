-- Alerts ever raised, by source, rule and severity.
select source, rule, severity, count(*) as alerts, count(*) filter (where state = 'open') as open
from sluice.alerts
group by source, rule, severity
order by source, rule, severity
