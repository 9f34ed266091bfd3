-- As with customers: a product that an order line or a movement names is inferred until its own row is here.
with known as (
    select p.id::bigint as product_id,
           p.sku,
           p.name,
           c.category,
           c.department,
           s.name as supplier,
           p.price::numeric(12, 2) as price,
           p.cost::numeric(12, 2) as cost,
           p.active::int <> 0 as active,
           -- A row is so since the last of its parts is: a supplier that is renamed changes its products, then.
           greatest(p.updated_at, c.updated_at, s.updated_at)::timestamptz as changed_at,
           false as is_inferred
    from staging.products as p
    left join staging.product_categories as c on c.category_id = p.category_id
    left join staging.suppliers as s on s.id = p.supplier_id
),
mentioned as (
    select product_id from staging.order_items
    union
    select product_id from staging.inventory_movements
),
named as (
    select m.product_id::bigint as product_id
    from mentioned as m
    where m.product_id is not null
      and not exists (select from known where known.product_id = m.product_id)
)
select product_id, sku, name, category, department, supplier, price, cost, active, changed_at, is_inferred
from known
union all
select product_id, null, null, null, null, null, null, null, null, null, true
from named
