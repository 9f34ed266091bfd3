-- What messages $1 tell of, by rule, the worst first.
select a.source, a.rule, a.severity, count(*) as alerts, count(distinct a.key) as keys
from sluice.outbox o
join sluice.alert a using (alert_id)
where o.outbox_id = any ($1)
group by a.source, a.rule, a.severity
order by array_position(array['critical', 'high', 'medium', 'low'], a.severity), alerts desc, a.source, a.rule
