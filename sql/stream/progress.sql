-- Every partition of the streams named; all where none is. $1 names.
select stream, topic, partition, start_offset, committed_offset, lag, watermark, counted, deduplicated, late, malformed,
       absent, updated_at
from sluice.stream_progress
where cardinality($1::text[]) = 0 or stream = any ($1)
order by stream, partition
