with purchases as (
    select c.customer_id,
           max(d.date) as last_order,
           count(distinct f.order_id) as frequency,
           sum(f.revenue - f.returned_revenue)::numeric(12, 2) as monetary
    from warehouse.fact_order_lines as f
    join warehouse.dim_customer as c using (customer_key)
    join warehouse.dim_date as d using (date_key)
    where f.order_status <> 'cancelled' and c.customer_key <> 0
    group by c.customer_id
),
today as (
    select max(last_order) as date
    from purchases
),
scored as (
    select p.customer_id,
           p.last_order,
           today.date - p.last_order as recency_days,
           p.frequency,
           p.monetary,
           ntile(5) over (order by p.last_order, p.customer_id) as recency_score,
           ntile(5) over (order by p.frequency, p.customer_id) as frequency_score,
           ntile(5) over (order by p.monetary, p.customer_id) as monetary_score
    from purchases as p
    cross join today
)
select customer_id,
       last_order,
       recency_days,
       frequency,
       monetary,
       recency_score,
       frequency_score,
       monetary_score,
       case
           when recency_score >= 4 and frequency_score >= 4 then 'champions'
           when recency_score >= 3 and frequency_score >= 3 then 'loyal'
           when recency_score >= 4 then 'new'
           when frequency_score >= 4 then 'at risk'
           when recency_score <= 2 and frequency_score <= 2 then 'lost'
           else 'occasional'
       end as segment
from scored
