-- Of the rows ($1, $2), those that are not open in dataset $3, and why.
select w.load_id, w.seq,
       case
           when q.load_id is null then 'load ' || w.load_id || ' holds no row ' || w.seq
           when q.dataset <> $3 then 'row ' || w.seq || ' of load ' || w.load_id || ' is of ' || q.dataset
           when q.state = 'replayed' then 'row ' || w.seq || ' of load ' || w.load_id || ' was replayed, by load ' || q.settled_by
           when q.state = 'dismissed' then 'row ' || w.seq || ' of load ' || w.load_id || ' was dismissed: ' || q.reason
           else 'load ' || w.load_id || ' was refused whole: retry its run instead'
       end
from unnest($1::bigint[], $2::bigint[]) w (load_id, seq)
left join sluice.quarantined_row q on (q.load_id, q.seq) = (w.load_id, w.seq)
left join sluice.load_ledger l on l.load_id = w.load_id
where q.load_id is null or q.dataset <> $3 or q.state <> 'open' or l.verdict = 'failed'
order by w.load_id, w.seq
