with days as (
    select f.date_key,
           count(distinct f.invoice_no) filter (where f.order_status = 'sold') as orders,
           count(distinct f.invoice_no) filter (where f.order_status = 'credited') as cancelled_orders,
           count(distinct f.customer_key) filter (where f.order_status = 'sold' and f.customer_key <> 0) as customers,
           sum(f.quantity) filter (where f.order_status = 'sold') as units,
           sum(f.revenue) filter (where f.order_status = 'sold') as sold,
           -sum(f.revenue) filter (where f.order_status = 'credited') as credited
    from warehouse.fact_order_lines as f
    group by f.date_key
),
newcomers as (
    select first_seen as date, count(*) as customers
    from warehouse.dim_customer
    where customer_key <> 0
    group by first_seen
)
select d.date,
       days.orders,
       days.cancelled_orders,
       days.customers,
       coalesce(n.customers, 0) as new_customers,
       coalesce(days.units, 0)::bigint as units,
       coalesce(days.sold, 0)::numeric(12, 2) as gross_revenue,
       coalesce(days.credited, 0)::numeric(12, 2) as returned_revenue,
       (coalesce(days.sold, 0) - coalesce(days.credited, 0))::numeric(12, 2) as revenue,
       null::numeric(12, 2) as cost,
       coalesce(round(days.sold / nullif(days.orders, 0), 2), 0)::numeric(12, 2) as average_order_value
from days
join warehouse.dim_date as d using (date_key)
left join newcomers as n on n.date = d.date
