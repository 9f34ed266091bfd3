-- Each partition of each stream: what it has done with what it read, how far it is behind, when somebody was last
-- seen at it.
select stream, topic, partition, lag, counted, deduplicated, late, malformed,
       extract(epoch from now() - watermark)::float8 as delay_seconds,
       extract(epoch from now() - seen_at)::float8 as seen_seconds
from sluice.stream_progress
order by stream, partition
