-- Closes what the watermark has passed for good. $1 stream, $2 partitions, $3 for each, until when.
-- $4 aggregates of sessions, which say themselves that they are closed.
update sluice.stream_window w
set closed = true, updated_at = now()
from unnest($2::int[], $3::timestamptz[]) as c (partition, before)
where w.stream = $1 and w.partition = c.partition and not w.closed and w.window_end <= c.before
  and w.agg <> all ($4::text[])
