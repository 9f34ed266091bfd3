-- A page of alerts, newest first. $1 source, $2 severity, $3 state (each null = any), $4 older than, $5 how many.
select alert_id, source, rule, severity, key, message, event_time, raised_at, delivered_at, detail, state
from sluice.alerts
where ($1::text is null or source = $1)
  and ($2::text is null or severity = $2)
  and ($3::text is null or state = $3)
  and ($4::bigint is null or alert_id < $4)
order by alert_id desc
limit $5
