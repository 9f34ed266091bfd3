-- Columns of one table of the connection's database. MariaDB keeps JSON as text with a check.
select cast(c.column_name as char) as name,
       cast(c.data_type as char) as data_type,
       cast(c.column_type as char) as column_type,
       c.is_nullable = 'YES' as nullable,
       cast(c.numeric_precision as unsigned) as numeric_precision,
       cast(c.numeric_scale as unsigned) as numeric_scale,
       cast(c.datetime_precision as unsigned) as datetime_precision,
       cast(c.character_set_name as char) as character_set,
       exists (
           select 1
           from information_schema.check_constraints k
           where k.constraint_schema = c.table_schema
             and k.table_name = c.table_name
             and k.check_clause = concat('json_valid(`', c.column_name, '`)')
       ) as json_checked
from information_schema.columns c
where c.table_schema = database() and c.table_name = ?
order by c.ordinal_position
