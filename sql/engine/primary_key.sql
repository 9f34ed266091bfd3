-- Columns of the primary key of $1.$2, in its order.
select a.attname::text
from pg_index i
join pg_class c on c.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
join unnest(i.indkey) with ordinality as k (attnum, place) on true
join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
where i.indisprimary and n.nspname = $1 and c.relname = $2
order by k.place
