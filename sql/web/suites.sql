-- One row a suite and dataset evaluated in the last 30 days: its latest evaluation, check by check.
with evaluation as (
    select suite, dataset, run_id, task, max(result_id) as last_result, max(at) as at,
           count(*) as checks,
           count(*) filter (where outcome = 'passed') as passed,
           count(*) filter (where outcome = 'failed') as failed,
           count(*) filter (where outcome = 'errored') as errored,
           count(*) filter (where outcome = 'vacuous') as vacuous
    from sluice.check_results
    where at > now() - interval '30 days'
    group by suite, dataset, run_id, task
), numbered as (
    select *, row_number() over (partition by suite, dataset order by last_result desc) as age
    from evaluation
)
select suite, dataset, run_id, at, checks, passed, failed, errored, vacuous,
       (select array_agg(case when n.errored > 0 then 'errored' when n.failed > 0 then 'failed' else 'passed' end
                         order by n.last_result)
        from numbered n
        where n.suite = latest.suite and n.dataset = latest.dataset and n.age <= 24) as history
from numbered latest
where age = 1
order by (failed + errored > 0) desc, suite, dataset
