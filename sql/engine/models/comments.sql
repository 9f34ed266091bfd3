-- The statements that make the comments of relation $1.$2 say what its model says: $3 columns, $4 their meaning,
-- $5 what the whole is.
with relation as (
    select c.oid, c.relkind
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname = $2
)
select format('comment on column %I.%I.%I is %L', $1, $2, a.attname, said.text)
from relation r
join pg_attribute a on a.attrelid = r.oid
join unnest($3::text[], $4::text[]) as said (name, text) on said.name = a.attname
where col_description(r.oid, a.attnum) is distinct from said.text
union all
select format('comment on %s %I.%I is %L', case r.relkind when 'v' then 'view' else 'table' end, $1, $2, $5::text)
from relation r
where obj_description(r.oid, 'pg_class') is distinct from $5::text
