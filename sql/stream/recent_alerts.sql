-- The alerts of a partition, for cooldowns. $1 source, $2 partition, $3 since when.
select rule, key, event_time
from sluice.alert
where source = $1 and (detail ->> 'partition')::int = $2 and event_time >= $3
