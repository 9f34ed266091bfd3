-- Tells the channels that keep track of cases, and were told of this one. $1 case, $2 its change, $3 subject, $4 payload.
insert into sluice.outbox (dedupe_key, channel, case_id, subject, payload)
select format('case:%s/%s@%s', $1, $2, told.channel), told.channel, $1, $3, $4
from (
    select o.channel from sluice.alert a join sluice.outbox o using (alert_id) where a.case_id = $1
    union
    select o.channel
    from sluice.alert a
    join sluice.alert_message m using (alert_id)
    join sluice.outbox o on o.outbox_id = m.outbox_id
    where a.case_id = $1
) told
join sluice.channel c on c.channel = told.channel and c.settles
on conflict (dedupe_key) do nothing
