-- Where the lake of a partition stands; made at $4 if it is new. $1 stream, $2 topic, $3 partition.
insert into sluice.stream_lake as l (stream, topic, partition, next_offset)
values ($1, $2, $3, $4)
on conflict (stream, partition) do update set updated_at = l.updated_at
returning next_offset, pending_to
