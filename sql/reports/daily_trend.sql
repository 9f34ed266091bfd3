-- One row per day, the fifteen days up to $1: revenue.
select day::date as date, coalesce(s.revenue, 0)::numeric as revenue
from generate_series($1::date - 14, $1::date, interval '1 day') as day
left join marts.sales_daily as s on s.date = day::date
order by day
