-- Holds the message of attempt $2 for another $3 seconds, if the claim is still its own.
update sluice.outbox
set not_before = now() + make_interval(secs => $3)
where outbox_id = $1 and state = 'sending' and attempts = $2
