-- For each pair of a column ('' the batch) and a metric, $5 and $6, what it was in earlier batches: $1 dataset, $2 suite, $3 task,
-- $4 before which instant, $7 how many. The latest first; of batches of the same data the newest, unless it was refused.
select w.place - 1 as rule, p.day, (p.metrics ->> w.metric)::float8 as value
from unnest($5::text[], $6::text[]) with ordinality as w ("column", metric, place)
cross join lateral (
    select distinct on (data_at) data_at, day, metrics
    from sluice.profiles
    where dataset = $1 and suite = $2 and task = $3 and "column" = w."column" and data_at < $4 and not refused
    order by data_at desc, profile_id desc
    limit $7
) p
where jsonb_typeof(p.metrics -> w.metric) = 'number'
order by w.place, p.data_at desc
