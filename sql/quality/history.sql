-- The last evaluations of suite $1, newest first, at most $2: how many of its checks ended how, and which did not hold.
select r.run_id,
       r.task,
       r.load_id,
       r.dataset,
       r.suite_hash,
       max(r.at) as at,
       count(*) filter (where r.outcome = 'passed') as passed,
       count(*) filter (where r.outcome = 'failed') as failed,
       count(*) filter (where r.outcome = 'errored') as errored,
       count(*) filter (where r.outcome = 'vacuous') as vacuous,
       coalesce(array_agg(r.check_id order by r.check_id) filter (where r.outcome in ('failed', 'errored')), '{}')
           as not_held
from sluice.check_result r
where r.suite = $1
group by r.run_id, r.task, r.load_id, r.dataset, r.suite_hash, r.at
order by max(r.at) desc
limit $2
