select a.attname::text as name,
       format_type(a.atttypid, a.atttypmod) as type_name,
       a.attnotnull and not a.atthasdef and a.attidentity = '' as required
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p')
