-- The checks that failed for a task of a run, the worst first.
select check_id, dataset, on_fail, observed
from sluice.check_result
where run_id = $1 and task = $2 and outcome <> 'passed' and on_fail <> 'warn'
order by at desc, (observed ->> 'failed')::numeric desc nulls last
limit 5;
