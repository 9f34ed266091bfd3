-- The numbers of one batch: $8 columns ('' the batch as a whole), $9 metrics of each.
insert into sluice.profile (run_id, task, load_id, suite, dataset, data_at, day, "column", place, metrics)
select $1, $2, $3, $4, $5, $6, $7, n."column", n.place - 1, n.metrics
from unnest($8::text[], $9::jsonb[]) with ordinality as n ("column", metrics, place)
