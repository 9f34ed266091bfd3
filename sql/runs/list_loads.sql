-- What a run loaded, or was refused to, in order.
select load_id, task, dataset, verdict, read, loaded, quarantined, deduplicated, published_at
from sluice.load_ledger
where run_id = $1
order by load_id;
