with newest as (
    select max(date) as date
    from marts.sales_daily
    where date > date '1900-01-01'
),
periods as (
    select days, newest.date - days as current_from, newest.date - 2 * days as previous_from
    from newest
    cross join unnest(array[1, 7, 30]) as period (days)
),
daily as (
    select date, 'revenue' as kpi, revenue::numeric as value from marts.sales_daily
    union all
    select date, 'orders', orders from marts.sales_daily
    union all
    select date, 'units', units from marts.sales_daily
    union all
    select date, 'new_customers', new_customers from marts.sales_daily
    union all
    select date, 'cancelled_orders', cancelled_orders from marts.sales_daily
    union all
    select date, 'margin', gross_revenue - cost from marts.sales_daily
),
totals as (
    select p.days,
           d.kpi,
           coalesce(sum(d.value) filter (where d.date > p.current_from), 0) as value,
           coalesce(sum(d.value) filter (where d.date <= p.current_from), 0) as previous
    from periods as p
    join daily as d on d.date > p.previous_from
    group by p.days, d.kpi
),
all_kpis as (
    select kpi, days, value, previous
    from totals
    union all
    select 'average_order_value',
           revenue.days,
           coalesce(revenue.value / nullif(orders.value, 0), 0),
           coalesce(revenue.previous / nullif(orders.previous, 0), 0)
    from totals as revenue
    join totals as orders on orders.days = revenue.days and orders.kpi = 'orders'
    where revenue.kpi = 'revenue'
)
select k.kpi,
       k.days,
       newest.date as as_of,
       k.value::numeric(12, 2) as value,
       k.previous::numeric(12, 2) as previous,
       ((k.value - k.previous) * 100 / nullif(k.previous, 0))::numeric(12, 1) as change_percent
from all_kpis as k
cross join newest
