-- A message ($2 its key, $3 subject, $4 payload) to channel $1, in its place, that tells of messages $5.
with bundle as (
    insert into sluice.outbox (channel, dedupe_key, subject, payload, admitted_at)
    values ($1, $2, $3, $4, clock_timestamp())
    returning outbox_id
), parts as (
    update sluice.outbox o
    set state = 'bundled', told_in = bundle.outbox_id
    from bundle
    where o.outbox_id = any ($5)
    returning o.alert_id
)
insert into sluice.alert_message (outbox_id, alert_id)
select bundle.outbox_id, parts.alert_id
from bundle cross join parts
where parts.alert_id is not null
on conflict do nothing
