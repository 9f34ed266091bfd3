-- A row stays held where the table has one of its key that may be newer: where something was published since ($2), where the
-- row was never compared with the rest of its batch ($3), where its key was corrected, or where another row of the load has
-- been replayed under it.
insert into {out} (seq, rules)
select s._sluice_seq, array['newer: the table has a row of this key, which may be the newer one']
from {staging} s
join sluice.quarantined_row q on q.load_id = $1 and q.seq = s._sluice_seq
where exists (select from {target} t where {same_key})
  and {no_cursor}
  and not exists (select from {out} o where o.seq = s._sluice_seq)
  and ($2
       or s._sluice_seq = any ($3)
       or {stood_key} <> {staged_key}
       or {staged_key} in (
           select {settled_key}
           from sluice.quarantined_row z
           where z.load_id = $1 and z.state = 'replayed'
       ))
