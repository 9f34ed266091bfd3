select b.backfill_id, b.kind, b.dag, b.from_day, b.to_day, b.newest_first, b.parallel, b.actor, b.created_at,
       b.stopped_at, b.stopped_by,
       case when r.queued + r.running > 0 and b.stopped_at is null then 'running'
            when b.stopped_at is not null then 'stopped'
            else 'done' end as state,
       r.runs, r.queued, r.running, r.success, r.failed
from sluice.backfill b
cross join lateral (
    select count(*) as runs,
           count(*) filter (where state = 'queued') as queued,
           count(*) filter (where state = 'running') as running,
           count(*) filter (where state = 'success') as success,
           count(*) filter (where state = 'failed') as failed
    from sluice.every_dag_run
    where backfill_id = b.backfill_id
) r
where ($1::text is null or b.dag = $1) and ($2::bigint is null or b.backfill_id < $2)
order by b.backfill_id desc
limit $3;
