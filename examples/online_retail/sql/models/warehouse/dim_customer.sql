select distinct on (customer_id)
       customer_id,
       country,
       min(local_time::date) over (partition by customer_id) as first_seen,
       max(local_time::date) over (partition by customer_id) as last_seen
from staging.invoice_lines
where customer_id is not null
order by customer_id, local_time desc, country
