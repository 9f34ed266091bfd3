-- What reconciliations of a source and a table found, and what their repairs did.

-- Rows that a repair deleted, as the source no longer has them; beside `read = loaded + quarantined + deduplicated`.
alter table sluice.load_ledger add column removed bigint not null default 0 check (removed >= 0);

create or replace view sluice.loads as
select load_id, run_id, dataset, interval_start, interval_end, read, loaded, quarantined, deduplicated, verdict,
       published_at, task, suite, suite_hash, batch_id, sums, removed
from sluice.load_ledger;

-- One row an attempt of a `reconcile` task. `missing` rows are in the source alone, `extra` ones in the target alone; `left`
-- is how many of all differences a repair did not mend. `samples` has the first keys of each with the values of both sides.
create table sluice.reconciliation (
    attempt_id   bigint primary key,
    run_id       bigint not null,
    task         text not null,
    source       text not null,
    target       text not null,
    source_at    timestamptz not null,
    target_at    timestamptz not null,
    source_rows  bigint not null check (source_rows >= 0),
    target_rows  bigint not null check (target_rows >= 0),
    missing      bigint not null check (missing >= 0),
    extra        bigint not null check (extra >= 0),
    different    bigint not null check (different >= 0),
    "left"       bigint not null check ("left" >= 0),
    load_id      bigint references sluice.load_ledger,
    samples      jsonb not null default '{}',
    at           timestamptz not null default now()
);
create index reconciliation_recent on sluice.reconciliation (target, at desc);

create view sluice.reconciliations as
select run_id, task, source, target, source_at, target_at, source_rows, target_rows, missing, extra, different, "left",
       load_id, samples, at, attempt_id
from sluice.reconciliation;
