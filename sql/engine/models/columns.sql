-- Columns of the relation $1.$2, in order.
select a.attname::text as name,
       format_type(a.atttypid, a.atttypmod) as data_type,
       (not a.attnotnull or a.atthasdef or a.attidentity <> '' or a.attgenerated <> '') as optional,
       (a.atthasdef or a.attidentity <> '' or a.attgenerated <> '') as automatic
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped
order by a.attnum
