-- The alerts that message $1 tells of, with what became of their cases.
select a.alert_id, a.source, a.rule, a.severity, a.key, a.event_time, a.raised_at, a.message, a.detail, a.case_id,
       c.state as case_state, c.settled_at
from sluice.alert_message m
join sluice.alert a using (alert_id)
left join sluice.alert_case c using (case_id)
where m.outbox_id = $1
order by a.alert_id
