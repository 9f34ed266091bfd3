-- Check results, by suite and outcome.
select suite, outcome, count(*) as checks
from sluice.check_results
group by suite, outcome
order by suite, outcome
