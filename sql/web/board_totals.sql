-- The shop's day so far, and its last full hour against the one before. $1 when the day began, $2 now.
select coalesce(sum(w.sum) filter (where w.window_start >= $1), 0) as revenue,
       coalesce(sum(w.events) filter (where w.window_start >= $1), 0)::bigint as orders,
       coalesce(sum(w.sum) filter (where w.window_start >= $2 - interval '1 hour'), 0) as hour_revenue,
       coalesce(sum(w.sum) filter (where w.window_start < $2 - interval '1 hour'
                                     and w.window_start >= $2 - interval '2 hours'), 0) as previous_hour_revenue,
       max(w.updated_at) as updated_at
from (select distinct stream from sluice.stream_progress) p
join sluice.windows w on w.stream = p.stream and w.agg = 'orders_total'
                     and w.window_start >= least($1, $2 - interval '2 hours')
