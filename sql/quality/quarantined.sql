-- Rows that gates hold back, newest load first. $1 dataset, $2 run, $3 rule (each null = any), $4 how many, $5 whether those
-- that were replayed or dismissed are shown, too.
select q.load_id, q.seq, l.run_id, q.dataset, q.source_file, q.source_line, q.state, q.rules, q.row::text as row,
       q.corrected::text as corrected, q.settled_by, q.reason
from sluice.quarantine q
join sluice.loads l using (load_id)
where ($1::text is null or q.dataset = $1)
  and ($2::bigint is null or l.run_id = $2)
  and ($3::text is null or $3 = any (q.rules))
  and ($5 or q.state = 'open')
order by q.load_id desc, q.seq
limit $4;
