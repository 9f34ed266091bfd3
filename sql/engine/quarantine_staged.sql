insert into sluice.quarantined_row (load_id, seq, dataset, source_file, source_line, row, rules)
select $1, o.seq, $2, {file}, {line},
       to_jsonb(s) - array['_sluice_seq', '_source_file', '_source_line'], o.rules
from {out} o
join {staging} s on s._sluice_seq = o.seq
cross join lateral (
    select files.first, files.path
    from unnest($3::bigint[], $4::text[]) as files (first, path)
    where files.first <= o.seq
    order by files.first desc
    limit 1
) f
where o.rules is not null
