-- What suites said, and who changed them when.

-- One row a content that a suite had: what its hash means. Comments and layout do not count, so `text` is the file as it was
-- when this content was first seen. `definition` is {"head": .., "checks": [{"id", "expectation", "arguments"}]}.
create table sluice.suite_version (
    suite       text not null,
    hash        text not null,
    definition  jsonb not null,
    text        text not null,
    seen_at     timestamptz not null default now(),
    primary key (suite, hash)
);

-- One row a change of a suite, as `sluice schedule` took up the files; a hash of null: the file was gone.
create table sluice.suite_change (
    change_id   bigint generated always as identity primary key,
    suite       text not null,
    hash        text,
    actor       text not null,
    at          timestamptz not null default now(),
    foreign key (suite, hash) references sluice.suite_version
);
create index suite_change_latest on sluice.suite_change (suite, change_id desc);

-- Which versions judged, and when.
create index check_result_version on sluice.check_result (suite, suite_hash, at desc);
create index load_ledger_suite on sluice.load_ledger (suite, suite_hash) where suite is not null;

create view sluice.suite_versions as
select suite, hash, definition, text, seen_at
from sluice.suite_version;

create view sluice.suite_changes as
select change_id, suite, hash, actor, at
from sluice.suite_change;
