-- Writes down which suites are not what they were: $1 names, $2 hashes, $3 whoever brought them. A suite that is not among
-- them is gone.
with latest as (
    select distinct on (suite) suite, hash from sluice.suite_change order by suite, change_id desc
), now as (
    select suite, hash from unnest($1::text[], $2::text[]) as n (suite, hash)
)
insert into sluice.suite_change (suite, hash, actor)
select suite, now.hash, $3
from now full join latest using (suite)
where now.hash is distinct from latest.hash
order by suite
