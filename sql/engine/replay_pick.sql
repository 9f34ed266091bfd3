-- The open rows of dataset $1, locked: those of the loads of run $2, of load $3, that broke rule $4, or just the rows ($5, $6)
-- (each null = any). Rows of a batch that was refused whole come again with the batch. A row with a value that the table
-- could not hold comes with its values.
select q.load_id, q.seq, coalesce(q.broke, q.rules) as rules,
       q.corrected is null and q.rules[1] like 'readable: %' as unreadable,
       exists (select from unnest(q.rules) r where r ~ '^(readable: |fits\(|key\()') as unjudged,
       case when exists (select from unnest(coalesce(q.broke, q.rules)) r where r like 'fits(%')
            then coalesce(q.corrected, q.row) end as stood
from sluice.quarantined_row q
join sluice.load_ledger l using (load_id)
where q.dataset = $1 and q.state = 'open' and l.verdict <> 'failed'
  and ($2::bigint is null or l.run_id = $2)
  and ($3::bigint is null or q.load_id = $3)
  and ($4::text is null or $4 = any (coalesce(q.broke, q.rules)))
  and ($5::bigint[] is null or (q.load_id, q.seq) in (select * from unnest($5::bigint[], $6::bigint[])))
order by q.load_id, q.seq
for update of q
