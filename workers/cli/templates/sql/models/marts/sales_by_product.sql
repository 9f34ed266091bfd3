select
    product,
    sum(quantity) as units,
    sum(quantity * unit_price) as revenue,
    max(day) as last_sold
from staging.sales
group by product
