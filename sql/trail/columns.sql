-- Columns of tables, as they are now.
select r.relation, a.attname as name, format_type(a.atttypid, a.atttypmod) as type
from unnest($1::text[]) as r(relation)
join pg_attribute a
  on a.attrelid = to_regclass(quote_ident(split_part(r.relation, '.', 1)) || '.' || quote_ident(split_part(r.relation, '.', 2)))
 and a.attnum > 0 and not a.attisdropped
order by r.relation, a.attnum;
