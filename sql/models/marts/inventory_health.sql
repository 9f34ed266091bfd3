with newest as (
    select max(d.date) as date
    from warehouse.fact_inventory_daily as f
    join warehouse.dim_date as d using (date_key)
),
pace as (
    select f.product_id,
           f.distribution_center_id,
           sum(f.sold) / count(*)::numeric as sold_a_day
    from warehouse.fact_inventory_daily as f
    join warehouse.dim_date as d using (date_key)
    cross join newest
    where d.date > newest.date - 30
    group by f.product_id, f.distribution_center_id
),
stock as (
    select i.product_id::bigint as product_id,
           i.distribution_center_id::bigint as distribution_center_id,
           c.code as distribution_center,
           p.name,
           p.category,
           i.on_hand::bigint as on_hand,
           i.reorder_point::bigint as reorder_point,
           i.reorder_quantity::bigint as reorder_quantity,
           coalesce(pace.sold_a_day, 0) as sold_a_day,
           p.cost
    from staging.inventory as i
    left join staging.distribution_centers as c on c.id = i.distribution_center_id
    left join warehouse.dim_product as p on p.product_id = i.product_id and p.is_current
    left join pace on pace.product_id = i.product_id and pace.distribution_center_id = i.distribution_center_id
)
select product_id,
       distribution_center_id,
       distribution_center,
       name,
       category,
       on_hand,
       reorder_point,
       reorder_quantity,
       sold_a_day::numeric(10, 2) as sold_a_day,
       (on_hand / nullif(sold_a_day, 0))::numeric(10, 1) as days_of_cover,
       (on_hand * cost)::numeric(12, 2) as stock_value,
       case
           when on_hand <= 0 then 'out'
           when on_hand <= reorder_point then 'low'
           when sold_a_day = 0 then 'idle'
           when on_hand / sold_a_day > 180 then 'excess'
           else 'good'
       end as status
from stock
