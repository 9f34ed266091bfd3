-- $1: the last outbox row before the pass. One row a channel.
select
    channel,
    count(*) filter (where state = 'delivered') as delivered,
    count(*) filter (where state = 'failed') as failed,
    (array_agg(location order by outbox_id desc) filter (where location is not null))[1] as latest
from sluice.outbox
where outbox_id > $1
group by channel
order by channel
