-- The outcomes of one evaluation, one row a check.
insert into sluice.check_result
    (run_id, task, load_id, suite, suite_hash, dataset, check_id, outcome, on_fail, observed, duration_ms)
select $1, $2, $3, $4, $5, $6, c.check_id, c.outcome, c.on_fail, c.observed, c.duration_ms
from unnest($7::text[], $8::text[], $9::text[], $10::jsonb[], $11::double precision[])
     with ordinality as c (check_id, outcome, on_fail, observed, duration_ms, place)
order by c.place
