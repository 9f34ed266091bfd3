-- Windows of one aggregate may come in several widths that count the same events; the narrowest is counted here.
-- Windows older than a day before the newest hour have long been closed, and their rows stay as they are.
with widths as (
    select stream, agg, min(window_end - window_start) as width
    from sluice.stream_window
    group by stream, agg
),
horizon as (
    select coalesce(max(hour) - interval '1 day', timestamptz '1900-01-01 00:00:00+00') as since
    from warehouse.fact_events_hourly
)
select w.stream,
       w.agg as aggregate,
       date_trunc('hour', w.window_start, 'UTC') as hour,
       coalesce(max(d.date_key), 19000101) as date_key,
       sum(w.events)::bigint as events,
       count(distinct w.key) as keys,
       sum(w.sum)::numeric(12, 2) as amount
from sluice.stream_window as w
join widths on widths.stream = w.stream and widths.agg = w.agg and widths.width = w.window_end - w.window_start
cross join horizon
left join warehouse.dim_date as d
       on d.date = (date_trunc('hour', w.window_start, 'UTC') at time zone current_setting('sluice.timezone'))::date
where w.window_start >= horizon.since
group by w.stream, w.agg, date_trunc('hour', w.window_start, 'UTC')
