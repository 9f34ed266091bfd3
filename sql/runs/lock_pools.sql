-- Whoever gives slots of a pool away takes turns.
select pool from sluice.pool where pool = any ($1) order by pool for update;
