with sales as (
    select p.product_id,
           count(distinct f.order_id) as orders,
           sum(f.quantity) as units,
           sum(f.returned_quantity) as returned_units,
           sum(f.revenue - f.returned_revenue) as revenue,
           sum(f.revenue - f.returned_revenue)
               - sum(f.cost * (f.quantity - f.returned_quantity) / nullif(f.quantity, 0)) as margin,
           max(d.date) as last_sold
    from warehouse.fact_order_lines as f
    join warehouse.dim_product as p using (product_key)
    join warehouse.dim_date as d using (date_key)
    where f.order_status <> 'cancelled' and p.product_key <> 0
    group by p.product_id
)
select p.product_id,
       p.sku,
       p.name,
       p.category,
       p.department,
       p.price,
       coalesce(s.orders, 0) as orders,
       coalesce(s.units, 0)::bigint as units,
       coalesce(s.revenue, 0)::numeric(12, 2) as revenue,
       coalesce(s.margin, 0)::numeric(12, 2) as margin,
       coalesce(s.returned_units::numeric / nullif(s.units, 0), 0)::numeric(6, 4) as return_rate,
       coalesce(s.revenue / nullif(sum(s.revenue) over (), 0), 0)::numeric(8, 6) as revenue_share,
       rank() over (order by coalesce(s.revenue, 0) desc) as revenue_rank,
       s.last_sold,
       r.rating::numeric(3, 2) as rating,
       r.reviews::bigint as reviews
from warehouse.dim_product as p
left join sales as s using (product_id)
left join staging.ratings as r on r.product_id = p.product_id
where p.is_current and p.product_key <> 0
