select load_id, dataset, read, loaded, quarantined, deduplicated, verdict, sums
from sluice.load_ledger
where dataset = $1 and interval_start = $2 and interval_end = $3 and batch_id = $4 and verdict <> 'failed'
