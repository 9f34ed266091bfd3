-- The five products with the most revenue on $1, with their revenue a week before.
with lines as (
    select p.product_id, d.date, f.quantity, f.revenue
    from warehouse.fact_order_lines as f
    join warehouse.dim_date as d using (date_key)
    join warehouse.dim_product as p using (product_key)
    where d.date in ($1::date, $1::date - 7) and f.order_status <> 'cancelled' and p.product_key <> 0
),
sold as (
    select product_id,
           coalesce(sum(revenue) filter (where date = $1), 0) as revenue,
           coalesce(sum(revenue) filter (where date = $1 - 7), 0) as revenue_before,
           coalesce(sum(quantity) filter (where date = $1), 0) as units
    from lines
    group by product_id
)
select coalesce(p.name, 'product ' || s.product_id) as name,
       coalesce(p.category, '') as category,
       s.revenue::numeric as revenue,
       s.revenue_before::numeric as revenue_before,
       s.units::bigint as units
from sold as s
left join warehouse.dim_product as p on p.product_id = s.product_id and p.is_current
where s.revenue > 0
order by s.revenue desc, s.product_id
limit 5
