with payments as (
    select p.id::bigint as payment_id,
           p.order_id::bigint as order_id,
           o.customer_id,
           p.paid_at::timestamptz as paid_at,
           p.kind,
           p.method,
           p.status,
           p.amount::numeric(12, 2) as amount
    from staging.payments as p
    left join staging.orders as o on o.id = p.order_id
)
select p.payment_id,
       p.order_id,
       coalesce(d.date_key, 19000101) as date_key,
       coalesce(c.customer_key, 0) as customer_key,
       p.paid_at,
       p.kind,
       p.method,
       p.status,
       p.amount,
       case
           when p.status <> 'approved' then 0
           when p.kind = 'refund' then -p.amount
           else p.amount
       end::numeric(12, 2) as net_amount
from payments as p
left join warehouse.dim_date as d on d.date = (p.paid_at at time zone current_setting('sluice.timezone'))::date
left join warehouse.dim_customer as c
       on c.customer_id = p.customer_id
      and p.paid_at >= c.valid_from and (c.valid_to is null or p.paid_at < c.valid_to)
