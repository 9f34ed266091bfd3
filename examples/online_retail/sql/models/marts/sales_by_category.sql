select d.date,
       p.category as department,
       p.category,
       count(distinct f.invoice_no) as orders,
       sum(f.quantity)::bigint as units,
       sum(f.revenue)::numeric(12, 2) as revenue
from warehouse.fact_order_lines as f
join warehouse.dim_date as d using (date_key)
join warehouse.dim_product as p using (product_key)
group by d.date, p.category
