-- One row per source, rule and severity with open alerts: how many, and the newest, the worst first.
select source,
       rule,
       severity,
       count(*)::bigint as alerts,
       (array_agg(message order by raised_at desc))[1] as newest,
       max(raised_at) as raised_at
from sluice.alert
where state = 'open'
group by source, rule, severity
order by array_position(array['critical', 'high', 'medium', 'low'], severity), count(*) desc, source, rule
limit 6
