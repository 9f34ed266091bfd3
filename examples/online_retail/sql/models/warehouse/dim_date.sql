with days as (
    select date '1900-01-01' as date
    union all
    select generate_series(date '2009-01-01', date '2012-12-31', interval '1 day')::date
)
select to_char(date, 'YYYYMMDD')::int as date_key,
       date,
       extract(year from date)::int as year,
       extract(month from date)::int as month,
       extract(isodow from date)::int as day_of_week
from days
