-- Messages of the outbox, by channel and state, and how long the oldest unsent one has waited.
select channel, state, count(*) as messages,
       coalesce(extract(epoch from now() - min(created_at) filter (where state in ('pending', 'sending'))), 0)::float8 as oldest_seconds
from sluice.deliveries
group by channel, state
order by channel, state
