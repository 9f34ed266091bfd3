-- A batch that a gate refused gives its row up to the next try; a published one keeps it, and no row returns.
insert into sluice.load_ledger as ledger (dataset, batch_id, run_id, task, interval_start, interval_end, suite,
    suite_hash, verdict, read, loaded, quarantined, deduplicated, sums, token, terms, replay_of)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
on conflict (dataset, interval_start, interval_end, batch_id) do update
set run_id = excluded.run_id, task = excluded.task, suite = excluded.suite, suite_hash = excluded.suite_hash,
    verdict = excluded.verdict, read = excluded.read, loaded = excluded.loaded, quarantined = excluded.quarantined,
    deduplicated = excluded.deduplicated, sums = excluded.sums, token = excluded.token,
    terms = excluded.terms, published_at = now()
where ledger.verdict = 'failed'
returning load_id
