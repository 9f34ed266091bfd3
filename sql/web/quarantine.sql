-- A page of held-back rows, newest load first. $1 dataset, $2 load_id, $3 rule (each null = any),
-- $4 and $5 the load and row after which the page begins, $6 how many, $7 state (null = any).
select load_id, seq, dataset, row, rules, source_file, source_line, state, settled_by, reason, corrected
from sluice.quarantine
where ($1::text is null or dataset = $1)
  and ($2::bigint is null or load_id = $2)
  and ($3::text is null or $3 = any (rules))
  and ($7::text is null or state = $7)
  and ($4::bigint is null or load_id < $4 or (load_id = $4 and seq > $5))
order by load_id desc, seq
limit $6
