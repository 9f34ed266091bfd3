-- The ledger row of a model. Nothing is quarantined or deduplicated on the way from a build to its table.
insert into sluice.load_ledger (dataset, batch_id, run_id, task, interval_start, interval_end, suite, suite_hash,
                                verdict, read, loaded, quarantined, deduplicated, token)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, $12)
returning load_id
