select from sluice.alert_case where case_id = $1 for update
