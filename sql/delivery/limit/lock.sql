-- One deliverer at a time decides about channel $1.
select pg_try_advisory_xact_lock(hashtextextended('sluice.channel:' || $1, 0))
