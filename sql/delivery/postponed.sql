-- Attempt $2 failed with $4; the next one comes in $3 seconds.
update sluice.outbox
set state = 'pending', not_before = now() + make_interval(secs => $3), error = $4
where outbox_id = $1 and state = 'sending' and attempts = $2
