select l.invoice_no,
       l.line_number,
       coalesce(d.date_key, 19000101) as date_key,
       coalesce(c.customer_key, 0) as customer_key,
       coalesce(p.product_key, 0) as product_key,
       coalesce(g.location_key, 0) as location_key,
       l.local_time at time zone current_setting('sluice.timezone') as invoiced_at,
       case when l.invoice_no like 'C%' then 'credited' else 'sold' end as order_status,
       l.quantity,
       l.unit_price,
       (l.quantity * l.unit_price)::numeric(14, 3) as revenue
from staging.invoice_lines as l
left join warehouse.dim_date as d on d.date = l.local_time::date
left join warehouse.dim_customer as c on c.customer_id = l.customer_id
left join warehouse.dim_product as p on p.product_id = l.product_id
left join warehouse.dim_location as g on g.country = l.country
