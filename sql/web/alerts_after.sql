-- Alerts raised after one that a page has seen, oldest first. $1 alert_id, $2 how many.
select alert_id, source, rule, severity, key, message, event_time, raised_at, delivered_at, detail, state
from sluice.alerts
where alert_id > $1
order by alert_id
limit $2
