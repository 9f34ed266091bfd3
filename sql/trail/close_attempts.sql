delete from sluice.trail_attempt t
using unnest($2::bigint[], $3::int[]) as n(task_run_id, attempt)
where t.sink = $1 and t.task_run_id = n.task_run_id and t.attempt = n.attempt;
