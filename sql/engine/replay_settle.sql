-- What became of the rows of load $1, in replay $2. Of rows $3 nothing could be read, and nothing was written.
update sluice.quarantined_row q
set state = case when v.held then 'open' else 'replayed' end,
    settled_by = case when v.held then null else $2 end,
    settled_at = case when v.held then null else now() end,
    broke = coalesce(v.rules, q.broke),
    corrected = case when q.seq = any ($3) then q.corrected else nullif(v.row, q.row) end,
    replays = q.replays + 1
from (
    select s._sluice_seq as seq, to_jsonb(s) - '_sluice_seq' as row, o.rules, o.rules is not null as held
    from {staging} s
    left join {out} o on o.seq = s._sluice_seq
) v
where q.load_id = $1 and q.seq = v.seq
