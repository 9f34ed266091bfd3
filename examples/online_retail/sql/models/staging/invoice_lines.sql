-- The file numbers no lines, so they are numbered here, by all that tells them apart. Loading the file for another
-- date adds its rows to staging.sales once more; they are the same lines.
with lines as (
    select distinct invoice_no, stock_code, description, quantity, invoice_date, unit_price, customer_id, country
    from staging.sales
)
select invoice_no,
       row_number() over (
           partition by invoice_no
           order by stock_code, quantity, unit_price, invoice_date, description, customer_id, country
       )::int as line_number,
       upper(stock_code) as product_id,
       nullif(trim(description), '') as name,
       quantity::int as quantity,
       invoice_date as local_time,
       unit_price::numeric(12, 3) as unit_price,
       customer_id::numeric::bigint as customer_id,
       coalesce(country, 'unknown') as country
from lines
