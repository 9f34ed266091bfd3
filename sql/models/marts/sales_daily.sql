with first_orders as (
    select c.customer_id, min(f.date_key) as date_key
    from warehouse.fact_order_lines as f
    join warehouse.dim_customer as c using (customer_key)
    where f.order_status <> 'cancelled' and c.customer_key <> 0
    group by c.customer_id
),
new_customers as (
    select date_key, count(*) as customers
    from first_orders
    group by date_key
),
days as (
    select date_key,
           count(distinct order_id) filter (where order_status <> 'cancelled') as orders,
           count(distinct order_id) filter (where order_status = 'cancelled') as cancelled_orders,
           count(distinct customer_key) filter (where order_status <> 'cancelled') as customers,
           sum(quantity) filter (where order_status <> 'cancelled') as units,
           sum(revenue) filter (where order_status <> 'cancelled') as gross_revenue,
           sum(returned_revenue) filter (where order_status <> 'cancelled') as returned_revenue,
           sum(cost) filter (where order_status <> 'cancelled') as cost
    from warehouse.fact_order_lines
    group by date_key
)
select d.date,
       days.orders,
       days.cancelled_orders,
       days.customers,
       coalesce(n.customers, 0) as new_customers,
       coalesce(days.units, 0)::bigint as units,
       coalesce(days.gross_revenue, 0)::numeric(12, 2) as gross_revenue,
       coalesce(days.returned_revenue, 0)::numeric(12, 2) as returned_revenue,
       (coalesce(days.gross_revenue, 0) - coalesce(days.returned_revenue, 0))::numeric(12, 2) as revenue,
       coalesce(days.cost, 0)::numeric(12, 2) as cost,
       coalesce(round(days.gross_revenue / nullif(days.orders, 0), 2), 0)::numeric(12, 2) as average_order_value
from days
join warehouse.dim_date as d using (date_key)
left join new_customers as n using (date_key)
