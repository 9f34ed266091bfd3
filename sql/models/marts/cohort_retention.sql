with months as (
    select distinct c.customer_id, date_trunc('month', d.date::timestamp)::date as month
    from warehouse.fact_order_lines as f
    join warehouse.dim_customer as c using (customer_key)
    join warehouse.dim_date as d using (date_key)
    where f.order_status <> 'cancelled' and c.customer_key <> 0
),
cohorts as (
    select customer_id, min(month) as cohort
    from months
    group by customer_id
),
sizes as (
    select cohort, count(*) as customers
    from cohorts
    group by cohort
)
select c.cohort,
       ((extract(year from m.month) - extract(year from c.cohort)) * 12
           + extract(month from m.month) - extract(month from c.cohort))::int as months_since,
       s.customers,
       count(*) as active_customers,
       (count(*)::numeric / s.customers)::numeric(6, 4) as retention
from months as m
join cohorts as c using (customer_id)
join sizes as s on s.cohort = c.cohort
group by c.cohort, m.month, s.customers
