-- Batches, what a gate held back, how far extraction has come, what checks found.

-- One row a published (or refused) batch. The unique key is what makes a load happen once:
-- `read = loaded + quarantined + deduplicated` always holds. `sums` carries the balanced totals a load
-- was asked to keep ({"revenue": {"read": .., "loaded": .., "quarantined": .., "deduplicated": ..}}).
create table sluice.load_ledger (
    load_id         bigint generated always as identity primary key,
    dataset         text not null,
    batch_id        text not null,
    run_id          bigint,
    task            text,
    interval_start  timestamptz not null,
    interval_end    timestamptz not null,
    suite           text,
    suite_hash      text,
    verdict         text not null check (verdict in ('passed', 'warned', 'quarantined', 'failed', 'unchecked')),
    read            bigint not null check (read >= 0),
    loaded          bigint not null check (loaded >= 0),
    quarantined     bigint not null check (quarantined >= 0),
    deduplicated    bigint not null check (deduplicated >= 0),
    sums            jsonb not null default '{}',
    token           bigint,
    published_at    timestamptz not null default now(),
    unique (dataset, interval_start, interval_end, batch_id),
    check (verdict = 'failed' or read = loaded + quarantined + deduplicated)
);
create index load_ledger_recent on sluice.load_ledger (dataset, load_id desc);
create index load_ledger_published on sluice.load_ledger (published_at);
create index load_ledger_run on sluice.load_ledger (run_id);

-- One row a row that a gate held back, with every rule that it broke and where it stood in its source.
create table sluice.quarantined_row (
    load_id      bigint not null references sluice.load_ledger on delete cascade,
    seq          bigint not null,
    dataset      text not null,
    source_file  text,
    source_line  bigint,
    row          jsonb not null,
    rules        text[] not null check (cardinality(rules) > 0),
    primary key (load_id, seq)
);
-- Finds a row that was held back before.
create index quarantined_row_content on sluice.quarantined_row (dataset, jsonb_hash_extended(row, 0));

-- High-water marks of incremental extraction: one row an extract and target that its batches are published in. `source`
-- is the table at `connection`, `cursor_column` what orders it; a task that reads something else begins anew. A mark moves
-- only in the transaction that publishes the rows below it.
create table sluice.high_water_mark (
    dag            text not null,
    task           text not null,
    connection     text not null,
    source         text not null,
    cursor_column  text not null,
    target         text not null,
    cursor         text not null,
    key            text not null,
    load_id        bigint references sluice.load_ledger,
    updated_at     timestamptz not null default now(),
    primary key (dag, task, connection, source, cursor_column, target)
);

create table sluice.check_result (
    result_id    bigint generated always as identity primary key,
    run_id       bigint,
    task         text,
    load_id      bigint references sluice.load_ledger on delete cascade,
    suite        text not null,
    suite_hash   text not null,
    check_id     text not null,
    dataset      text not null,
    outcome      text not null check (outcome in ('passed', 'failed', 'errored', 'vacuous')),
    on_fail      text not null,
    observed     jsonb not null default '{}',
    duration_ms  double precision not null default 0,
    at           timestamptz not null default now()
);
create index check_result_recent on sluice.check_result (suite, at desc);
create index check_result_at on sluice.check_result (at);
create index check_result_run on sluice.check_result (run_id);
