-- A row that an earlier batch held back for the same reasons was said before: it counts as deduplicated.
update {out} o
set rules = null
from {staging} s, sluice.quarantined_row q, sluice.load_ledger l
where o.rules is not null
  and s._sluice_seq = o.seq
  and q.dataset = $1
  and jsonb_hash_extended(q.row, 0)
      = jsonb_hash_extended(to_jsonb(s) - array['_sluice_seq', '_source_file', '_source_line'], 0)
  and q.row = to_jsonb(s) - array['_sluice_seq', '_source_file', '_source_line']
  and q.rules = o.rules
  and l.load_id = q.load_id
  and l.verdict <> 'failed'
