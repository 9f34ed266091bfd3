-- A page of messages, newest first. $1 state, $2 channel (each null = any), $3 older than, $4 how many.
select outbox_id, channel, subject, state, attempts, created_at, delivered_at, location, error, alert_id
from sluice.deliveries
where ($1::text is null or state = $1)
  and ($2::text is null or channel = $2)
  and ($3::bigint is null or outbox_id < $3)
order by outbox_id desc
limit $4
