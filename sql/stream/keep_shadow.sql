-- What a rule that is only tried out would have raised.
insert into sluice.shadow_alert (dedupe_key, source, rule, severity, key, event_time, message, detail)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (dedupe_key) do nothing
