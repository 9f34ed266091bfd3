-- The worst alerts that messages $1 tell of, $2 at most.
select a.message
from sluice.outbox o
join sluice.alert a using (alert_id)
where o.outbox_id = any ($1)
order by array_position(array['critical', 'high', 'medium', 'low'], a.severity), a.alert_id
limit $2
