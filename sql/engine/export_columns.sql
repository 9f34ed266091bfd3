-- Columns of the view of an export: name, type as in DDL.
select attname::text as name, format_type(atttypid, atttypmod) as data_type
from pg_attribute
where attrelid = 'pg_temp.sluice_export'::regclass and attnum > 0 and not attisdropped
order by attnum
