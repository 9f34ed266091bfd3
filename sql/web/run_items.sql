-- The items of a mapped task, in the list's order. $1 run, $2 task, $3 state (null = all), $4 after this place, $5 limit.
select t.task, t.place, t.item, t.state, t.attempts, t.max_attempts, t.not_before, t.started_at, t.finished_at, t.reason,
       t.output
from sluice.task_run p
join sluice.task_run t on t.run_id = p.run_id and t.parent = p.task and t.place < p.mapped
where p.run_id = $1 and p.task = $2
  and ($3::text is null or t.state = $3)
  and ($4::bigint is null or t.place > $4)
order by t.place
limit $5
