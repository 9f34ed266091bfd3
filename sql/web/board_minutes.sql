-- Revenue and orders of each of the last 60 minutes, quiet ones included, oldest first. $1 now.
select minute, coalesce(sum(w.sum), 0) as revenue, coalesce(sum(w.events), 0)::bigint as orders
from generate_series(date_trunc('minute', $1) - interval '59 minutes', date_trunc('minute', $1), interval '1 minute') minute
left join (
    select w.window_start, w.sum, w.events
    from (select distinct stream from sluice.stream_progress) p
    join sluice.windows w on w.stream = p.stream and w.agg = 'orders_total'
                         and w.window_start >= date_trunc('minute', $1) - interval '59 minutes'
) w on w.window_start >= minute and w.window_start < minute + interval '1 minute'
group by minute
order by minute
