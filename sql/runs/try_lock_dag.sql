-- As lock_dag.sql, for those who come again later.
select pg_try_advisory_xact_lock(hashtextextended('sluice.dag/' || $1, 0));
