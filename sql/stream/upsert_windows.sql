-- Results of windows as they stand. $1 stream; then one array a column of `w`.
insert into sluice.stream_window as t
    (stream, agg, partition, key, window_start, window_end, events, sum, closed)
select $1, agg, partition, key, window_start, window_end, events, sum, closed
from unnest($2::text[], $3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::numeric[],
            $9::boolean[])
     as w (agg, partition, key, window_start, window_end, events, sum, closed)
on conflict (stream, agg, window_start, key, partition) do update
    set events = excluded.events, sum = excluded.sum, closed = excluded.closed, updated_at = now()
    where (t.events, t.sum, t.closed) is distinct from (excluded.events, excluded.sum, excluded.closed)
