-- One row per product that runs low somewhere and was not told of yet, with what to order: up to the reorder
-- point, and the usual quantity on top, for each place that is low.
select i.product_id::bigint as product_id,
       coalesce(p.name, 'product ' || i.product_id) as name,
       coalesce(p.sku, '') as sku,
       coalesce(s.name, 'unknown supplier') as supplier,
       coalesce(s.email, '') as supplier_email,
       coalesce(s.lead_time_days, 0)::bigint as lead_time_days,
       sum(i.on_hand)::bigint as on_hand,
       sum(i.reorder_point)::bigint as reorder_point,
       sum(i.reorder_point - i.on_hand + i.reorder_quantity)::bigint as quantity,
       coalesce(max(p.cost), 0)::numeric as unit_cost,
       string_agg(coalesce(c.code, i.distribution_center_id::text), ', ' order by c.code) as places
from staging.inventory as i
left join staging.products as p on p.id = i.product_id
left join staging.suppliers as s on s.id = p.supplier_id
left join staging.distribution_centers as c on c.id = i.distribution_center_id
where i.on_hand <= i.reorder_point
  and not exists (
      select 1 from sluice.low_stock as l where l.product_id = i.product_id and l.closed_at is null
  )
group by i.product_id, p.name, p.sku, s.name, s.email, s.lead_time_days
order by supplier, i.product_id
