-- Keeps shares of the state as they stand at the offset that is committed with them. $1 stream; then one array a column of `s`.
insert into sluice.stream_state (stream, partition, segment, record_offset, data)
select $1, partition, segment, record_offset, data
from unnest($2::int[], $3::smallint[], $4::bigint[], $5::bytea[]) as s (partition, segment, record_offset, data)
on conflict (stream, partition, segment) do update
    set record_offset = excluded.record_offset, data = excluded.data, updated_at = now()
