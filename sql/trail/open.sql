-- How far the sink $1 has come. It begins where the platform is when it is first asked for.
insert into sluice.trail (sink, last_run, last_attempt)
select $1, coalesce((select max(run_id) from sluice.dag_run), 0), coalesce((select max(attempt_id) from sluice.attempt), 0)
on conflict (sink) do nothing;
