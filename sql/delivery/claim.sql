-- Takes up to $1 messages that are due, for $2 seconds; of channels with a limit ($3) those that have their place in it. A
-- message whose taker died becomes due again when that time is over; `attempts` is its fence, so that the late taker can no
-- longer say what became of it.
with due as (
    select outbox_id
    from sluice.outbox
    where state in ('pending', 'sending') and not_before <= now()
      and (channel <> all ($3) or admitted_at is not null)
    order by not_before, outbox_id
    limit $1
    for update skip locked
)
update sluice.outbox as o
set state = 'sending', attempts = o.attempts + 1, not_before = now() + make_interval(secs => $2)
from due
where o.outbox_id = due.outbox_id
returning o.outbox_id, o.dedupe_key, o.channel, o.subject, o.payload, o.attempts, o.created_at, o.alert_id, o.case_id
