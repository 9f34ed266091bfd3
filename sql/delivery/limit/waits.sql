-- Whether a message of channel $1 waits for its place.
select exists (select from sluice.outbox where channel = $1 and state = 'pending' and admitted_at is null)
