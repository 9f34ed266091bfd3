insert into sluice.outbox (dedupe_key, channel, alert_id, subject, payload)
values ($1, $2, $3, $4, $5)
on conflict (dedupe_key) do nothing
returning outbox_id
