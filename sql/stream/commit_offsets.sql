-- Moves each partition on, if it stands where this delta begins and belongs to this generation still.
-- $1 stream; then one array a column of `d`.
update sluice.stream_offset o
set committed_offset  = d.to_offset,
    watermark         = coalesce(d.watermark, o.watermark),
    restore_offset    = d.restore_offset,
    restore_watermark = d.restore_watermark,
    end_offset        = greatest(o.end_offset, d.end_offset, d.to_offset),
    counted           = o.counted + d.counted,
    deduplicated      = o.deduplicated + d.deduplicated,
    late              = o.late + d.late,
    malformed         = o.malformed + d.malformed,
    absent            = o.absent + d.absent,
    updated_at        = now(),
    seen_at           = now()
from unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::bigint[], $8::timestamptz[],
            $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])
     as d (partition, generation, from_offset, to_offset, watermark, restore_offset, restore_watermark, end_offset,
           counted, deduplicated, late, malformed, absent)
where o.stream = $1 and o.partition = d.partition and o.generation = d.generation
  and o.committed_offset = d.from_offset
returning o.partition
