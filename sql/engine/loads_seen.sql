-- How many loads were published into a dataset, and the last of them: a refused load that passes later counts then.
select count(*), coalesce(max(load_id), 0)
from sluice.load_ledger
where dataset = $1 and verdict <> 'failed'
