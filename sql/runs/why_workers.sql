-- The workers that are alive, what they serve, and how much of it they do.
select w.worker, w.slots, w.queues, w.kinds, w.labels,
       (select count(*) from sluice.running_attempt a where a.worker = w.worker) as busy
from sluice.worker w
where w.role = 'worker' and w.stopped_at is null and w.seen_at > clock_timestamp() - interval '30 seconds'
order by w.started_at;
