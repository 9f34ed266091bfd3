select exists (
    select 1
    from pg_index i
    join pg_class c on c.oid = i.indrelid
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname = $2 and i.indisunique and i.indpred is null and i.indexprs is null
      and (select array_agg(a.attname::text order by a.attname::text)
           from pg_attribute a
           where a.attrelid = c.oid and a.attnum = any (i.indkey[0:i.indnkeyatts - 1]))
          = (select array_agg(k order by k) from unnest($3::text[]) k)
)
