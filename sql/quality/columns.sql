-- The columns of table $1.$2 in order, with the base type of each; no rows where there is no such table.
select a.attname::text as name,
       coalesce(b.typname, t.typname)::text as type_name,
       coalesce(b.typtype, t.typtype) = 'e' as is_enum,
       case when b.oid is null then a.atttypmod else t.typtypmod end as modifier
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_type b on b.oid = t.typbasetype and t.typtype = 'd'
where a.attrelid = to_regclass(format('%I.%I', $1, $2)) and a.attnum > 0 and not a.attisdropped
order by a.attnum
