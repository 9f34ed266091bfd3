-- Deletes dead letters put aside before $2 that are on their topic, $3 at most. $1 stream.
-- Those that the next owner of the partition may read again stay: they say what became of their records.
delete from sluice.dead_letter
where dead_letter_id in (
    select d.dead_letter_id
    from sluice.dead_letter d
    left join sluice.stream_offset o on (o.stream, o.topic, o.partition) = (d.stream, d.topic, d.partition)
    where d.stream = $1 and d.at < $2 and d.produced_at is not null
      and (o.stream is null or d.record_offset < coalesce(o.restore_offset, o.committed_offset))
    order by d.dead_letter_id
    limit $3
    for update of d skip locked
)
