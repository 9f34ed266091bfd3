-- Where a stream's next owner takes up: the first record of its oldest open window, and the watermark right
-- before it. Reading on from there rebuilds windows, ids seen and rules fired as they were.
alter table sluice.stream_offset
    add column restore_offset     bigint,
    add column restore_watermark  timestamptz,
    -- Offsets that held no record: transaction markers, compaction, retention. With it the sum is exact:
    -- counted + deduplicated + late + malformed + absent = committed_offset - start_offset.
    add column absent             bigint not null default 0,
    -- When a process that owns the partition last said so, whether records came in or not.
    add column seen_at            timestamptz not null default now();

-- Every watermark and count a person may ask for.
create or replace view sluice.stream_progress as
select stream, partition, committed_offset, watermark, greatest(end_offset - committed_offset, 0) as lag, topic,
       start_offset, counted, deduplicated, late, malformed, updated_at, absent, seen_at
from sluice.stream_offset;

-- One row a partition whose raw records go to the lake. A file is planned (`pending_to`), written, then counted
-- (`next_offset`), so that a repeat writes the same file again.
create table sluice.stream_lake (
    stream       text not null,
    topic        text not null,
    partition    int not null,
    next_offset  bigint not null,
    pending_to   bigint check (pending_to > next_offset),
    updated_at   timestamptz not null default now(),
    primary key (stream, partition)
);

create index dead_letter_unsent on sluice.dead_letter (stream, dead_letter_id) where produced_at is null;
create index dead_letter_recent on sluice.dead_letter (stream, dead_letter_id desc);
-- The letters of a span of time.
create index dead_letter_at on sluice.dead_letter (at);

-- The rules and aggregates that streams have windows of. Each is one step along the windows' key, however many
-- windows there are.
create view sluice.stream_rules as
with recursive rule as (
    (select stream, agg from sluice.stream_window order by stream, agg limit 1)
    union all
    select next.stream, next.agg
    from rule
    cross join lateral (
        select w.stream, w.agg
        from sluice.stream_window w
        where (w.stream, w.agg) > (rule.stream, rule.agg)
        order by w.stream, w.agg
        limit 1
    ) next
)
select stream, agg from rule;
