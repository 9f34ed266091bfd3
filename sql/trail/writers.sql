-- Transactions that may have been given a number whose row nobody else sees yet: an insert locks its table first.
select distinct virtualtransaction
from pg_locks
where locktype = 'relation' and mode = 'RowExclusiveLock' and granted
  and database = (select oid from pg_database where datname = current_database())
  and relation in ('sluice.dag_run'::regclass, 'sluice.attempt'::regclass)
  and virtualtransaction is not null
  and ($1::text[] is null or virtualtransaction = any ($1));
