-- The checks that did not hold when task $2 of run $1 last asked, those that only warn last, and those with most rows first.
select check_id, dataset, on_fail, observed
from sluice.check_result
where run_id = $1 and task = $2 and outcome in ('failed', 'errored')
  and at = (select max(at) from sluice.check_result where run_id = $1 and task = $2)
order by on_fail = 'warn', (observed ->> 'unexpected_count')::numeric desc nulls last, check_id
limit 5;
