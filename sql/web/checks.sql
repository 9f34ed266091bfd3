-- A page of check results, newest first. $1 suite, $2 run_id, $3 outcome (each null = any), $4 older than, $5 how many.
select result_id, run_id, task, load_id, suite, suite_hash, check_id, dataset, outcome, on_fail, observed, duration_ms, at
from sluice.check_results
where ($1::text is null or suite = $1)
  and ($2::bigint is null or run_id = $2)
  and ($3::text is null or outcome = $3)
  and ($4::bigint is null or result_id < $4)
order by result_id desc
limit $5
