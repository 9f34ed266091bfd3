-- The columns that rows $2 of load $1 have.
select distinct k.name
from sluice.quarantined_row q
cross join lateral jsonb_object_keys(coalesce(q.corrected, q.row)) as k (name)
where q.load_id = $1 and q.seq = any ($2)
