-- Takes a partition over: the generation rises, and whoever held the one before can commit no more.
-- No row: the stream has read another topic under this name.
-- $1 stream, $2 topic, $3 partition, $4 first offset of the topic, $5 its end.
insert into sluice.stream_offset as o
    (stream, topic, partition, start_offset, committed_offset, restore_offset, end_offset, generation)
values ($1, $2, $3, $4, $4, $4, $5, 1)
on conflict (stream, partition) do update
    set generation = o.generation + 1, end_offset = greatest(o.end_offset, excluded.end_offset), updated_at = now(),
        seen_at = now()
    where o.topic = excluded.topic
returning generation, committed_offset, coalesce(restore_offset, committed_offset) as restore_offset,
          restore_watermark
