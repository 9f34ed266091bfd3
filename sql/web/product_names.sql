-- Names of products, from the staged copy of the shop's table. $1 ids.
select id::text as id, name
from staging.products
where id::text = any ($1)
