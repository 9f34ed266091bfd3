-- The outcomes of one evaluation, one row a check.
insert into sluice.check_result
    (run_id, task, load_id, suite, suite_hash, dataset, check_id, outcome, on_fail, observed, duration_ms, owner, tags)
select $1, $2, $3, $4, $5, $6, c.check_id, c.outcome, c.on_fail, c.observed, c.duration_ms, c.owner,
       array(select jsonb_array_elements_text(c.tags))
from unnest($7::text[], $8::text[], $9::text[], $10::jsonb[], $11::double precision[], $12::text[], $13::jsonb[])
     with ordinality as c (check_id, outcome, on_fail, observed, duration_ms, owner, tags, place)
order by c.place
