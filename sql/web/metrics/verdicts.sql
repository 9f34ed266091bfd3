-- Gate verdicts, by dataset.
select dataset, verdict, count(*) as loads
from sluice.loads
group by dataset, verdict
order by dataset, verdict
