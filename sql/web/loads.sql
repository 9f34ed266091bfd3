-- A page of loads, newest first. $1 dataset, $2 run_id, $3 verdict (each null = any), $4 older than, $5 how many.
select load_id, run_id, task, dataset, interval_start, interval_end, suite, suite_hash, verdict, read, loaded, quarantined,
       deduplicated, sums, published_at
from sluice.loads
where ($1::text is null or dataset = $1)
  and ($2::bigint is null or run_id = $2)
  and ($3::text is null or verdict = $3)
  and ($4::bigint is null or load_id < $4)
order by load_id desc
limit $5
