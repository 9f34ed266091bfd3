select d.date,
       l.country_code,
       l.region,
       count(distinct f.order_id) as orders,
       count(distinct f.customer_key) as customers,
       sum(f.quantity)::bigint as units,
       sum(f.revenue - f.returned_revenue)::numeric(12, 2) as revenue
from warehouse.fact_order_lines as f
join warehouse.dim_date as d using (date_key)
join warehouse.dim_location as l using (location_key)
where f.order_status <> 'cancelled'
group by d.date, l.country_code, l.region
