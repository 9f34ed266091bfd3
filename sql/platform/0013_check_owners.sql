-- Who answers for a check, and what it belongs to, as its suite said when it was evaluated.
alter table sluice.check_result add column owner text, add column tags text[] not null default '{}';

create or replace view sluice.check_results as
select run_id, suite, check_id, dataset, outcome, observed, at, on_fail, load_id, task, suite_hash, duration_ms,
       result_id, owner, tags
from sluice.check_result;
