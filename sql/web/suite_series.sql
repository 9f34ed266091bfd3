-- Of suite $1 the numbers of the latest batch of each dataset and task, one row a column ('' the batch as a whole), and as `points`
-- what they were in the last $2 batches, oldest first. A batch that was loaded again counts once.
with latest as (
    select distinct on (dataset, task) dataset, task, data_at
    from (
        select dataset, task, data_at, profile_id
        from sluice.profiles
        where suite = $1 and "column" = ''
        order by data_at desc, profile_id desc
        limit 1000
    ) p
    order by dataset, task, data_at desc
), watched as (
    select distinct on (p.dataset, p.task, p."column") p.dataset, p.task, p."column", p.place, p.metrics
    from latest
    join sluice.profiles p using (dataset, task, data_at)
    where p.suite = $1
    order by p.dataset, p.task, p."column", p.profile_id desc
)
select w.dataset, w.task, w."column", w.metrics, s.points
from watched w
cross join lateral (
    select jsonb_agg(jsonb_build_object('day', b.day, 'refused', b.refused, 'metrics', b.metrics - 'top') order by b.data_at) as points
    from (
        select distinct on (data_at) data_at, day, refused, metrics
        from sluice.profiles
        where dataset = w.dataset and suite = $1 and task = w.task and "column" = w."column"
        order by data_at desc, profile_id desc
        limit $2
    ) b
) s
order by w.dataset, w.task, w.place
