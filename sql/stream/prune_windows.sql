-- Deletes windows that ended and were last written before $2, $3 of each rule and aggregate at most. $1 stream.
-- Finds the names by hopping along the primary key: also those that the stream's file has no longer.
with recursive agg as (
    (select w.agg from sluice.stream_window w where w.stream = $1 order by w.agg limit 1)
    union all
    select (select w.agg from sluice.stream_window w where w.stream = $1 and w.agg > agg.agg order by w.agg limit 1)
    from agg
    where agg.agg is not null
), old as (
    select o.*
    from agg
    cross join lateral (
        select w.stream, w.agg, w.window_start, w.key, w.partition
        from sluice.stream_window w
        where w.stream = $1 and w.agg = agg.agg and w.window_start < $2 and w.window_end < $2 and w.updated_at < $2
        order by w.window_start
        limit $3
        for update skip locked
    ) o
)
delete from sluice.stream_window w
using old o
where (w.stream, w.agg, w.window_start, w.key, w.partition) = (o.stream, o.agg, o.window_start, o.key, o.partition)
