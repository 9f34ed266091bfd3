with purchases as (
    select c.customer_id,
           c.country,
           max(d.date) as last_order,
           count(distinct f.invoice_no) as frequency,
           sum(f.revenue)::numeric(12, 2) as monetary
    from warehouse.fact_order_lines as f
    join warehouse.dim_customer as c using (customer_key)
    join warehouse.dim_date as d using (date_key)
    where c.customer_key <> 0 and f.order_status = 'sold'
    group by c.customer_id, c.country
)
select customer_id,
       country,
       (select max(last_order) from purchases) - last_order as recency_days,
       frequency,
       monetary,
       ntile(5) over (order by last_order, customer_id) as recency_score,
       ntile(5) over (order by frequency, customer_id) as frequency_score,
       ntile(5) over (order by monetary, customer_id) as monetary_score
from purchases
