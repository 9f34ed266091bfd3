select d.date,
       coalesce(p.department, 'unknown') as department,
       coalesce(p.category, 'unknown') as category,
       count(distinct f.order_id) as orders,
       sum(f.quantity)::bigint as units,
       sum(f.revenue)::numeric(12, 2) as gross_revenue,
       sum(f.returned_revenue)::numeric(12, 2) as returned_revenue,
       sum(f.revenue - f.returned_revenue)::numeric(12, 2) as revenue,
       coalesce(sum(f.cost), 0)::numeric(12, 2) as cost
from warehouse.fact_order_lines as f
join warehouse.dim_date as d using (date_key)
join warehouse.dim_product as p using (product_key)
where f.order_status <> 'cancelled'
group by d.date, coalesce(p.department, 'unknown'), coalesce(p.category, 'unknown')
