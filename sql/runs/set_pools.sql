insert into sluice.pool as p (pool, slots)
select * from unnest($1::text[], $2::int[])
on conflict (pool) do update set slots = excluded.slots where p.slots <> excluded.slots;
