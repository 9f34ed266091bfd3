-- One row: what was sold on day $1 and a week before it. A day without sales is a day of zeros.
select coalesce(d.orders, 0)::bigint as orders,
       coalesce(d.revenue, 0)::numeric as revenue,
       coalesce(d.returned_revenue, 0)::numeric as returned_revenue,
       coalesce(d.gross_revenue - d.cost, 0)::numeric as margin,
       coalesce(d.units, 0)::bigint as units,
       coalesce(d.customers, 0)::bigint as customers,
       coalesce(d.new_customers, 0)::bigint as new_customers,
       coalesce(d.cancelled_orders, 0)::bigint as cancelled_orders,
       coalesce(d.average_order_value, 0)::numeric as average_order_value,
       coalesce(b.orders, 0)::bigint as orders_before,
       coalesce(b.revenue, 0)::numeric as revenue_before,
       coalesce(b.units, 0)::bigint as units_before,
       coalesce(b.average_order_value, 0)::numeric as average_order_value_before
from (values ($1::date)) as asked (date)
left join marts.sales_daily as d on d.date = asked.date
left join marts.sales_daily as b on b.date = asked.date - 7
