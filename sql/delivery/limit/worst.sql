-- The worst of what messages $1 tell of, $2 at most, each with how often it is said.
with said as (
    select coalesce(a.message, o.payload ->> 'title') as line, o.outbox_id,
           array_position(array['critical', 'high', 'medium', 'low'], coalesce(a.severity, o.payload ->> 'severity')) as place
    from sluice.outbox o
    left join sluice.alert a using (alert_id)
    where o.outbox_id = any ($1)
)
select case count(*) when 1 then line else format('%s (%s times)', line, count(*)) end
from said
group by line
order by min(place), min(outbox_id)
limit $2
