-- Builds in schema $1, named $2 || attempt id || '_' || model, of attempts that no longer run.
select c.relname::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'v') and c.relname ~ ('^' || $2 || '\d+_')
  and not exists (
      select from sluice.attempt a
      where a.state = 'running'
        and a.attempt_id = substring(c.relname from '^' || $2 || '(\d+)_')::bigint
  )
