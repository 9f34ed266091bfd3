select case_id from sluice.alert where alert_id = $1
