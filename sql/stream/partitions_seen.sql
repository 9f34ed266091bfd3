-- Says that somebody is at these partitions, and how far they go. Where a commit holds the row, it says so itself.
-- $1 stream; then one array a column of `s`.
update sluice.stream_offset o
set seen_at = now(), end_offset = greatest(o.end_offset, s.end_offset)
from (
    select stream, partition, s.end_offset
    from unnest($2::int[], $3::bigint[], $4::bigint[]) as s (partition, generation, end_offset)
    join sluice.stream_offset held using (partition, generation)
    where held.stream = $1
    for update of held skip locked
) s
where o.stream = s.stream and o.partition = s.partition
