-- Closes what was low and has been restocked everywhere, with its alert; one row each: the product.
with closed as (
    update sluice.low_stock as l
    set closed_at = $1
    where l.closed_at is null
      and exists (select 1 from staging.inventory as i where i.product_id = l.product_id)
      and not exists (
          select 1 from staging.inventory as i
          where i.product_id = l.product_id and i.on_hand <= i.reorder_point
      )
    returning l.product_id, l.alert_id
),
alerts as (
    update sluice.alert as a
    set state = 'closed'
    from closed
    where a.alert_id = closed.alert_id
)
select product_id from closed order by product_id
