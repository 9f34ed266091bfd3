-- Customers that orders name but that are not here, because a gate holds them back or they come later, are
-- inferred: their orders count from the first day, and their row is filled in when it arrives.
with known as (
    select id::bigint as customer_id,
           customer_number,
           gender,
           extract(year from birth_date)::int as birth_year,
           occupation,
           postal_code,
           city,
           region,
           country_code,
           newsletter::int <> 0 as newsletter,
           registered_at::timestamptz as registered_at,
           updated_at::timestamptz as changed_at,
           false as is_inferred
    from staging.customers
),
named as (
    select distinct o.customer_id::bigint as customer_id
    from staging.orders as o
    where o.customer_id is not null
      and not exists (select from known where known.customer_id = o.customer_id)
)
select customer_id, customer_number, gender, birth_year, occupation, postal_code, city, region, country_code,
       newsletter, registered_at, changed_at, is_inferred
from known
union all
select customer_id, null, null, null, null, null, null, null, null, null, null, null, true
from named
