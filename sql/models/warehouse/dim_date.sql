with days as (
    select date '1900-01-01' as date
    union all
    select generate_series(date '2005-01-01', date '2040-12-31', interval '1 day')::date
)
select to_char(date, 'YYYYMMDD')::int as date_key,
       date,
       extract(year from date)::int as year,
       extract(quarter from date)::int as quarter,
       extract(month from date)::int as month,
       to_char(date, 'FMMonth') as month_name,
       extract(isoyear from date)::int as iso_year,
       extract(week from date)::int as iso_week,
       extract(day from date)::int as day_of_month,
       extract(isodow from date)::int as day_of_week,
       to_char(date, 'FMDay') as day_name,
       extract(isodow from date) >= 6 as is_weekend
from days
