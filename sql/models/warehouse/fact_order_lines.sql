-- A line whose order is held back by a gate is still a line: it counts from its own date, for the unknown customer,
-- until its order is there. So the sum over all lines is the sum over staging.order_items, always.
with parcels as (
    select distinct on (order_id) order_id, shipper_id
    from staging.shipments
    order by order_id, shipped_at, id
),
lines as (
    select i.id::bigint as order_item_id,
           i.order_id::bigint as order_id,
           o.order_number,
           i.line_number::int as line_number,
           i.product_id,
           o.customer_id,
           coalesce(o.ship_country, 'unknown') as country_code,
           coalesce(o.ship_region, 'unknown') as region,
           coalesce(o.ship_city, 'unknown') as city,
           coalesce(o.ordered_at, i.created_at)::timestamptz as ordered_at,
           coalesce(o.status, 'unknown') as order_status,
           coalesce(o.channel, 'unknown') as channel,
           i.quantity::int as quantity,
           i.unit_price::numeric(12, 2) as unit_price,
           coalesce(i.returned_quantity, 0)::int as returned_quantity,
           parcels.shipper_id
    from staging.order_items as i
    left join staging.orders as o on o.id = i.order_id
    left join parcels on parcels.order_id = i.order_id
)
select l.order_item_id,
       l.order_id,
       l.order_number,
       l.line_number,
       coalesce(d.date_key, 19000101) as date_key,
       coalesce(c.customer_key, 0) as customer_key,
       coalesce(p.product_key, 0) as product_key,
       coalesce(g.location_key, 0) as location_key,
       coalesce(s.shipper_key, 0) as shipper_key,
       l.ordered_at,
       l.order_status,
       l.channel,
       l.quantity,
       l.unit_price,
       (l.quantity * l.unit_price)::numeric(12, 2) as revenue,
       (l.quantity * p.cost)::numeric(12, 2) as cost,
       l.returned_quantity,
       (l.returned_quantity * l.unit_price)::numeric(12, 2) as returned_revenue
from lines as l
left join warehouse.dim_date as d
       on d.date = (l.ordered_at at time zone current_setting('sluice.timezone'))::date
left join warehouse.dim_customer as c
       on c.customer_id = l.customer_id
      and l.ordered_at >= c.valid_from and (c.valid_to is null or l.ordered_at < c.valid_to)
left join warehouse.dim_product as p
       on p.product_id = l.product_id
      and l.ordered_at >= p.valid_from and (p.valid_to is null or l.ordered_at < p.valid_to)
left join warehouse.dim_location as g
       on g.country_code = l.country_code and g.region = l.region and g.city = l.city
left join warehouse.dim_shipper as s on s.shipper_id = l.shipper_id
