-- The first alert of each rule and severity of case $1, with what became of the case.
select distinct on (a.rule, a.severity)
       a.alert_id, a.source, a.rule, a.severity, a.key, a.event_time, a.raised_at, a.message, a.detail, a.case_id,
       c.state as case_state, c.settled_at
from sluice.alert a
join sluice.alert_case c using (case_id)
where a.case_id = $1
order by a.rule, a.severity, a.event_time
