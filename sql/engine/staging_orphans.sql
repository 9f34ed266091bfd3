select c.relname::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join sluice.attempt a on a.attempt_id = substring(c.relname from '_(\d+)$')::bigint and a.state = 'running'
where n.nspname = $1 and c.relkind = 'r' and c.relname ~ '_\d+$' and a.attempt_id is null
