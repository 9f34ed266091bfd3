-- One row per department that sold on $1 or a week before: revenue on both days, the largest first.
select department as name,
       coalesce(sum(revenue) filter (where date = $1), 0)::numeric as revenue,
       coalesce(sum(revenue) filter (where date = $1 - 7), 0)::numeric as revenue_before,
       coalesce(sum(units) filter (where date = $1), 0)::bigint as units
from marts.sales_by_category
where date in ($1::date, $1::date - 7)
group by department
order by 2 desc, 1
