insert into sluice.quarantined_row (load_id, seq, dataset, source_file, source_line, row, rules)
select $1, $3::bigint + place - 1, $2, file, line, jsonb_build_object('text', content),
       array['readable: ' || coalesce(reason, 'unknown')]
from unnest($4::text[], $5::bigint[], $6::text[], $7::text[]) with ordinality
    as rejected (file, line, content, reason, place)
