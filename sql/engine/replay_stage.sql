-- Rows $2 of load $1 as they are held.
insert into {staging} (_sluice_seq{columns})
select q.seq{values}
from sluice.quarantined_row q
cross join lateral (select coalesce(q.corrected, q.row) as row) r
where q.load_id = $1 and q.seq = any ($2)
