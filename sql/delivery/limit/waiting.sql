-- Messages of channel $1 that wait for their place, oldest first, $2 at most; whether each can be told together with others.
select outbox_id, alert_id is not null or coalesce((payload ->> 'brief')::boolean, false) as bundles
from sluice.outbox
where channel = $1 and state = 'pending' and admitted_at is null
order by outbox_id
limit $2
