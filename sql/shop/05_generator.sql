-- The generator's own tables. No rule, model or extraction reads them.

-- One row a fault that the generator planted on purpose, so that what the gates and the fraud rules find can be
-- counted against what there was. `source` is a table or a topic, `reference` a row id or an event id,
-- `entity` what an alert is keyed by (a card, a session), `episode` one attack of many events.
create table if not exists generator_truth (
    id          bigint unsigned not null auto_increment primary key,
    kind        enum ('dirty', 'attack') not null,
    source      varchar(64) not null,
    reference   varchar(64) not null,
    fault       varchar(40) not null,
    entity      varchar(64) null,
    episode     varchar(64) null,
    event_time  datetime(6) null,
    seed        bigint unsigned not null,
    created_at  datetime(6) not null default current_timestamp(6),
    unique key generator_truth_fault (source, reference, fault)
) engine = InnoDB default charset = utf8mb4;

-- One row: what this shop was generated from. A second run with the same settings changes nothing, one with
-- others is refused.
create table if not exists generator_run (
    id          tinyint unsigned not null primary key check (id = 1),
    seed        bigint unsigned not null,
    settings    json not null,
    started_at  datetime(6) not null default current_timestamp(6),
    ended_at    datetime(6) null
) engine = InnoDB default charset = utf8mb4;

-- One row a chunk of rows that was written, in the transaction that wrote it: a killed run goes on from here.
create table if not exists generator_chunk (
    source      varchar(64) not null,
    chunk       int unsigned not null,
    row_count   int unsigned not null,
    created_at  datetime(6) not null default current_timestamp(6),
    primary key (source, chunk)
) engine = InnoDB default charset = utf8mb4;
