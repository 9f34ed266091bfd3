-- Columns of tables, as they are now.
select c.table_schema || '.' || c.table_name as relation, c.column_name as name, c.data_type as type
from information_schema.columns c
where c.table_schema || '.' || c.table_name = any ($1)
order by 1, c.ordinal_position;
