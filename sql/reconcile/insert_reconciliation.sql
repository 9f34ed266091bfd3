insert into sluice.reconciliation (attempt_id, run_id, task, source, target, source_at, target_at, source_rows, target_rows,
    missing, extra, different, "left", load_id, samples, recent, sums)
values ($1, $2, $3, $4, $5, $6::timestamp at time zone 'UTC', $7::timestamptz, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
