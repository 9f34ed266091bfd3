-- The first build goes back 90 days from the newest movement, later ones repeat the last 3 days before the newest
-- row and go on from there. The stock of a day is all movements up to its end.
with movements as (
    select product_id::bigint as product_id,
           distribution_center_id::bigint as distribution_center_id,
           kind,
           quantity::bigint as quantity,
           (occurred_at::timestamptz at time zone current_setting('sluice.timezone'))::date as day
    from staging.inventory_movements
),
span as (
    select coalesce(
               (select max(d.date) - 3
                from warehouse.fact_inventory_daily as f
                join warehouse.dim_date as d using (date_key)),
               max(day) - 90
           ) as first_day,
           max(day) as last_day
    from movements
),
places as (
    select product_id, distribution_center_id, min(day) as since
    from movements
    group by product_id, distribution_center_id
),
before as (
    select m.product_id, m.distribution_center_id, sum(m.quantity) as quantity
    from movements as m
    cross join span
    where m.day < span.first_day
    group by m.product_id, m.distribution_center_id
),
daily as (
    select m.product_id,
           m.distribution_center_id,
           m.day,
           sum(m.quantity) as change,
           sum(m.quantity) filter (where m.kind = 'receipt') as received,
           -sum(m.quantity) filter (where m.kind = 'sale') as sold,
           sum(m.quantity) filter (where m.kind = 'return') as returned
    from movements as m
    cross join span
    where m.day >= span.first_day
    group by m.product_id, m.distribution_center_id, m.day
),
stock as (
    select p.product_id,
           p.distribution_center_id,
           day.day::date as day,
           coalesce(b.quantity, 0)
               + sum(coalesce(d.change, 0)) over (
                     partition by p.product_id, p.distribution_center_id order by day.day
                 ) as on_hand,
           coalesce(d.received, 0) as received,
           coalesce(d.sold, 0) as sold,
           coalesce(d.returned, 0) as returned
    from places as p
    cross join span
    cross join lateral generate_series(
        greatest(p.since, span.first_day)::timestamp, span.last_day::timestamp, interval '1 day'
    ) as day (day)
    left join before as b
           on b.product_id = p.product_id and b.distribution_center_id = p.distribution_center_id
    left join daily as d
           on d.product_id = p.product_id and d.distribution_center_id = p.distribution_center_id
          and d.day = day.day
)
select coalesce(d.date_key, 19000101) as date_key,
       s.product_id,
       s.distribution_center_id,
       coalesce(p.product_key, 0) as product_key,
       coalesce(g.location_key, 0) as location_key,
       s.on_hand::bigint as on_hand,
       s.received::bigint as received,
       s.sold::bigint as sold,
       s.returned::bigint as returned,
       (s.on_hand * p.cost)::numeric(12, 2) as stock_value
from stock as s
left join warehouse.dim_date as d on d.date = s.day
left join warehouse.dim_product as p
       on p.product_id = s.product_id
      and s.day >= p.valid_from and (p.valid_to is null or s.day < p.valid_to)
left join staging.distribution_centers as c on c.id = s.distribution_center_id
left join warehouse.dim_location as g
       on g.country_code = c.country_code and g.region = c.region and g.city = c.city
