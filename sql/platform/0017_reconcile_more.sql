-- What a reconciliation tells besides: rows that differ and changed too lately to count, and sums of columns on both sides.
alter table sluice.reconciliation
    add column recent bigint not null default 0 check (recent >= 0),
    add column sums   jsonb not null default '{}';

create or replace view sluice.reconciliations as
select run_id, task, source, target, source_at, target_at, source_rows, target_rows, missing, extra, different, "left",
       load_id, samples, at, attempt_id, recent, sums
from sluice.reconciliation;
