-- A dataset into which task $2 of run $1 published, and of which rows are still held back.
select l.dataset
from sluice.load_ledger l
join sluice.quarantined_row q using (load_id)
where l.run_id = $1 and l.task = $2 and l.verdict <> 'failed' and q.state = 'open'
limit 1;
