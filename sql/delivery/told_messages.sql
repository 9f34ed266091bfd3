-- The messages without an alert of their own that message $1 tells of.
select subject, payload, created_at
from sluice.outbox
where told_in = $1 and alert_id is null
order by outbox_id
