-- How often each rule was right. $1 source (null = any).
select source, rule, version, confirmed, false_alarms, precision, since
from sluice.rule_precision
where $1::text is null or source = $1
order by source, rule, since
