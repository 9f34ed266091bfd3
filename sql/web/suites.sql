-- One row a suite and dataset evaluated in the last 30 days: its latest evaluation, and how those before it went.
-- The verdict is what the worst failed check does: fail, quarantine or warn.
with evaluation as (
    select suite, dataset, run_id, task, max(result_id) as last_result, max(at) as at,
           count(*) as checks,
           count(*) filter (where outcome = 'passed') as passed,
           count(*) filter (where outcome = 'failed') as failed,
           count(*) filter (where outcome = 'errored') as errored,
           count(*) filter (where outcome = 'vacuous') as vacuous,
           case when bool_or(outcome = 'errored') then 'errored'
                when bool_or(outcome = 'failed' and on_fail = 'fail') then 'failed'
                when bool_or(outcome = 'failed' and on_fail = 'quarantine') then 'quarantined'
                when bool_or(outcome = 'failed') then 'warned'
                else 'passed' end as verdict
    from sluice.check_results
    where at > now() - interval '30 days'
    group by suite, dataset, run_id, task
), numbered as (
    select *, row_number() over (partition by suite, dataset order by last_result desc) as age
    from evaluation
)
select suite, dataset, run_id, at, checks, passed, failed, errored, vacuous, verdict,
       (select array_agg(n.verdict order by n.last_result)
        from numbered n
        where n.suite = latest.suite and n.dataset = latest.dataset and n.age <= 24) as history
from numbered latest
where age = 1
order by array_position('{errored,failed,quarantined,warned,passed}', verdict), suite, dataset
