insert into sluice.trail_attempt (sink, task_run_id, attempt)
select $1, n.* from unnest($2::bigint[], $3::int[]) as n
on conflict do nothing;
