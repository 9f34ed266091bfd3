-- How far runs have been told that are not over.
insert into sluice.trail_run (sink, run_id, life, begun)
select $1, n.* from unnest($2::bigint[], $3::int[], $4::bool[]) as n
on conflict (sink, run_id) do update set life = excluded.life, begun = excluded.begun;
