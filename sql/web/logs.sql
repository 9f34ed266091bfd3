-- Log lines of one attempt, in order. $1 run_id, $2 task, $3 attempt, $4 after this seq, $5 how many.
select seq, at, level, line
from sluice.logs
where run_id = $1 and task = $2 and attempt = $3 and seq > $4
order by seq
limit $5
