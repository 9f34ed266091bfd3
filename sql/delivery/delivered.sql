-- The message of attempt $2 has arrived at $3.
update sluice.outbox
set state = 'delivered', delivered_at = clock_timestamp(), location = $3, error = null
where outbox_id = $1 and state = 'sending' and attempts = $2
