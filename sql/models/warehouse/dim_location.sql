select coalesce(ship_country, 'unknown') as country_code,
       coalesce(ship_region, 'unknown') as region,
       coalesce(ship_city, 'unknown') as city
from staging.orders
union
select coalesce(country_code, 'unknown'), coalesce(region, 'unknown'), coalesce(city, 'unknown')
from staging.distribution_centers
