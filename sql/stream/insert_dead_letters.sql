-- Records that could not be counted. $1 stream, $2 topic; then one array a column of `d`.
insert into sluice.dead_letter (stream, topic, partition, record_offset, reason, detail, key, payload, headers)
select $1, $2, partition, record_offset, reason, detail, key, payload, headers
from unnest($3::int[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::jsonb[])
     as d (partition, record_offset, reason, detail, key, payload, headers)
on conflict (stream, topic, partition, record_offset) do nothing
