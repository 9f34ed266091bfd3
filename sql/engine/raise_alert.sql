insert into sluice.alert (dedupe_key, source, rule, severity, key, event_time, message, detail)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (dedupe_key) do nothing
returning alert_id
