-- Every partition of every stream. `delay_seconds`: how far the watermark is behind the clock.
select stream, topic, partition, start_offset, committed_offset, lag, watermark, counted, deduplicated, late, malformed,
       updated_at, extract(epoch from now() - watermark)::float8 as delay_seconds
from sluice.stream_progress
order by stream, partition
