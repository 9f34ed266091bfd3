-- A stream's state between restarts, and what rules that are tried out would have said.

-- One row a share of a partition's keys: what its owner knew of them when the stream stood at `record_offset`, written in the
-- transaction that committed that offset. `stream_offset.restore_offset` is where the log must be read from to make of all
-- shares the state as it was last committed. `data` is for the program alone; it is random enough not to be compressed.
create table sluice.stream_state (
    stream         text not null,
    partition      int not null,
    segment        smallint not null,
    record_offset  bigint not null,
    data           bytea not null,
    updated_at     timestamptz not null default now(),
    primary key (stream, partition, segment)
);
alter table sluice.stream_state alter column data set storage external;

-- One row an alert of a rule in shadow mode, of which nobody is told.
create table sluice.shadow_alert (
    shadow_alert_id  bigint generated always as identity primary key,
    dedupe_key       text not null unique,
    source           text not null,
    rule             text not null,
    severity         text not null check (severity in ('low', 'medium', 'high', 'critical')),
    key              text not null,
    event_time       timestamptz not null,
    raised_at        timestamptz not null default now(),
    message          text not null,
    detail           jsonb not null
);
create index shadow_alert_recent on sluice.shadow_alert (source, rule, event_time);

create view sluice.shadow_alerts as
select shadow_alert_id, source, rule, severity, key, event_time, raised_at, message, detail, detail ->> 'version' as version
from sluice.shadow_alert;
