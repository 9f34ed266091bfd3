select case_id, source, key, severity, state, alerts, first_event, last_event, opened_at, settled_at, settled_by, note, rules
from sluice.cases
where case_id = $1
