-- The numbers of batches: what anomalies are told by, and what trends show.

-- One row an evaluated batch ("column" is '') and one a profiled column of it. `data_at` is where the data interval of the run
-- begins and `day` that day in the DAG's time zone. `metrics` of a batch: row_count, failed_share, and "sql.<id>" of queries; of
-- a column: type, nulls, null_share, distinct, distinct_share, min, max, mean, stdev, p05 to p95, top, …
create table sluice.profile (
    profile_id  bigint generated always as identity primary key,
    run_id      bigint,
    task        text not null,
    load_id     bigint references sluice.load_ledger on delete cascade,
    suite       text not null,
    dataset     text not null,
    data_at     timestamptz not null,
    day         date not null,
    "column"    text not null,
    place       int not null,
    metrics     jsonb not null,
    at          timestamptz not null default now()
);
create index profile_history on sluice.profile (dataset, suite, task, "column", data_at desc, profile_id desc);
create index profile_suite on sluice.profile (suite, data_at desc, profile_id desc) where "column" = '';
create index profile_load on sluice.profile (load_id);
create index profile_run on sluice.profile (run_id);

-- What a refused batch looked like is no measure of others: `refused` says so.
create view sluice.profiles as
select p.profile_id, p.run_id, p.task, p.load_id, p.suite, p.dataset, p.data_at, p.day, p."column", p.place, p.metrics, p.at,
       exists (select from sluice.load_ledger l where l.load_id = p.load_id and l.verdict = 'failed') as refused
from sluice.profile p;
