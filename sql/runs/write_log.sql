insert into sluice.task_log (attempt_id, seq, at, level, line)
select * from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[])
on conflict do nothing;
