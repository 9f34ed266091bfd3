-- The alert $1, with what became of its case.
select a.alert_id, a.source, a.rule, a.severity, a.key, a.event_time, a.raised_at, a.message, a.detail, a.case_id,
       c.state as case_state, c.settled_at
from sluice.alert a
left join sluice.alert_case c using (case_id)
where a.alert_id = $1
