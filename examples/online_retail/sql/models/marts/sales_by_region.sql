select date_trunc('month', d.date::timestamp)::date as month,
       g.country,
       count(distinct f.invoice_no) filter (where f.order_status = 'sold') as orders,
       count(distinct f.customer_key) filter (where f.customer_key <> 0) as customers,
       sum(f.revenue)::numeric(12, 2) as revenue
from warehouse.fact_order_lines as f
join warehouse.dim_date as d using (date_key)
join warehouse.dim_location as g using (location_key)
group by date_trunc('month', d.date::timestamp)::date, g.country
