-- The last alert of each rule and key on a partition, for cooldowns. $1 source, $2 partition, $3 since when.
select rule, key, max(event_time) as event_time
from sluice.alert
where source = $1 and (detail ->> 'partition')::int = $2 and event_time >= $3
group by rule, key
