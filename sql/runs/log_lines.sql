select l.attempt_id, t.task, a.attempt, l.seq, l.at, l.level, l.line
from sluice.task_run t
join sluice.attempt a using (task_run_id)
join sluice.task_log l using (attempt_id)
left join unnest($3::bigint[], $4::bigint[]) as seen(attempt_id, seq) on seen.attempt_id = l.attempt_id
where t.run_id = $1
  and ($2::text is null or t.task = $2)
  and l.seq > coalesce(seen.seq, 0)
order by l.at, l.attempt_id, l.seq
limit 5000;
