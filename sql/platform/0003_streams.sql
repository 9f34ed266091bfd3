-- How far streams have come, their windows, what they could not take in.

-- One row a partition of a stream: committed in the transaction of the results it accounts for. Every consumed record is
-- exactly one of counted, deduplicated, late, malformed; `absent` are the offsets that held no record (transaction
-- markers, compaction, retention). So this sum is exact:
-- counted + deduplicated + late + malformed + absent = committed_offset - start_offset.
--
-- `restore_offset` is where the next owner takes up: the first record of the oldest open window; `restore_watermark` is
-- the watermark right before it. Reading on from there rebuilds windows, ids seen and rules fired as they were. `seen_at`
-- is when a process that owns the partition last said so, whether records came in or not.
create table sluice.stream_offset (
    stream            text not null,
    topic             text not null,
    partition         int not null,
    start_offset      bigint not null,
    committed_offset  bigint not null,
    end_offset        bigint not null default 0,
    watermark         timestamptz,
    generation        bigint not null default 0,
    counted           bigint not null default 0,
    deduplicated      bigint not null default 0,
    late              bigint not null default 0,
    malformed         bigint not null default 0,
    absent            bigint not null default 0,
    restore_offset    bigint,
    restore_watermark timestamptz,
    seen_at           timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    primary key (stream, partition)
);

-- One row a key and window that saw an event. `agg` is the name of the rule or aggregate it belongs to.
-- `closed` says that the watermark has passed its end and allowed lateness.
create table sluice.stream_window (
    stream        text not null,
    agg           text not null,
    partition     int not null,
    key           text not null,
    window_start  timestamptz not null,
    window_end    timestamptz not null,
    events        bigint not null,
    sum           numeric not null default 0,
    closed        boolean not null default false,
    updated_at    timestamptz not null default now(),
    primary key (stream, agg, window_start, key, partition)
);
create index stream_window_open on sluice.stream_window (stream, partition, window_end) where not closed;

create table sluice.dead_letter (
    dead_letter_id  bigint generated always as identity primary key,
    stream          text not null,
    topic           text not null,
    partition       int not null,
    record_offset   bigint not null,
    reason          text not null check (reason in ('malformed', 'late', 'rejected')),
    detail          text not null,
    key             bytea,
    payload         bytea,
    headers         jsonb not null default '{}',
    at              timestamptz not null default now(),
    produced_at     timestamptz,
    unique (stream, topic, partition, record_offset)
);
create index dead_letter_unsent on sluice.dead_letter (stream, dead_letter_id) where produced_at is null;
create index dead_letter_recent on sluice.dead_letter (stream, dead_letter_id desc);
-- The letters of a span of time.
create index dead_letter_at on sluice.dead_letter (at);

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
