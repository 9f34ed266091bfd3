-- What messages $1 tell of, the worst first: alerts by rule, others by their title.
select a.source, coalesce(a.rule, o.payload ->> 'title') as name, coalesce(a.severity, o.payload ->> 'severity') as severity,
       count(*) as messages, count(distinct a.key) as keys
from sluice.outbox o
left join sluice.alert a using (alert_id)
where o.outbox_id = any ($1)
group by 1, 2, 3
order by min(array_position(array['critical', 'high', 'medium', 'low'], coalesce(a.severity, o.payload ->> 'severity'))),
         messages desc, 1, 2
