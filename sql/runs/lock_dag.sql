-- Whoever decides how many runs of a DAG are under way takes turns.
select pg_advisory_xact_lock(hashtextextended('sluice.dag/' || $1, 0))::text;
