-- A code has had many descriptions; the one that invoices use most is its name. The file knows no categories, so
-- products are grouped by what they cost.
with names as (
    select product_id,
           name,
           row_number() over (partition by product_id order by count(*) desc, name) as place
    from staging.invoice_lines
    where name is not null
    group by product_id, name
),
prices as (
    select product_id, percentile_disc(0.5) within group (order by unit_price) as price
    from staging.invoice_lines
    group by product_id
)
select p.product_id,
       n.name,
       case
           when p.price < 1 then 'under 1 pound'
           when p.price < 5 then '1 to 5 pounds'
           when p.price < 10 then '5 to 10 pounds'
           else '10 pounds and more'
       end as category
from prices as p
left join names as n on n.product_id = p.product_id and n.place = 1
