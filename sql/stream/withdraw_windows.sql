-- Deletes sessions that have become part of others. $1 stream; then one array a column of `w`.
delete from sluice.stream_window t
using unnest($2::text[], $3::int[], $4::text[], $5::timestamptz[]) as w (agg, partition, key, window_start)
where t.stream = $1 and (t.agg, t.window_start, t.key, t.partition) = (w.agg, w.window_start, w.key, w.partition)
