-- Attempt $2 failed with $3, and there will be no other.
update sluice.outbox
set state = 'failed', error = $3
where outbox_id = $1 and state = 'sending' and attempts = $2
