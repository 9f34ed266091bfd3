update sluice.outbox set admitted_at = clock_timestamp() where outbox_id = any ($1)
