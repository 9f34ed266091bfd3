-- Gives up open rows: chosen as in replay_pick.sql, for the reason $7. Gives the load of each.
with chosen as (
    select q.load_id, q.seq
    from sluice.quarantined_row q
    join sluice.load_ledger l using (load_id)
    where q.dataset = $1 and q.state = 'open' and l.verdict <> 'failed'
      and ($2::bigint is null or l.run_id = $2)
      and ($3::bigint is null or q.load_id = $3)
      and ($4::text is null or $4 = any (coalesce(q.broke, q.rules)))
      and ($5::bigint[] is null or (q.load_id, q.seq) in (select * from unnest($5::bigint[], $6::bigint[])))
    order by q.load_id, q.seq
    for update of q
)
update sluice.quarantined_row q
set state = 'dismissed', settled_at = now(), reason = $7
from chosen c
where (q.load_id, q.seq) = (c.load_id, c.seq)
returning q.load_id
