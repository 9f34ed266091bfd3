-- Windows older than a day before the newest hour have long been closed, and their rows stay as they are.
with horizon as (
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
cross join horizon
left join warehouse.dim_date as d
       on d.date = (date_trunc('hour', w.window_start, 'UTC') at time zone current_setting('sluice.timezone'))::date
where w.window_start >= horizon.since
group by w.stream, w.agg, date_trunc('hour', w.window_start, 'UTC')
