-- The workers that have not stopped and were seen within the day, or that hold a task.
select w.worker, w.host, w.pid, w.version, w.slots, w.queues, w.labels, w.started_at, w.seen_at,
       w.stopped_at is null and w.seen_at > clock_timestamp() - interval '30 seconds' as alive
from sluice.worker w
where w.role = 'worker'
  and ((w.stopped_at is null and w.seen_at > clock_timestamp() - interval '1 day')
       or exists (select from sluice.running_attempt a where a.worker = w.worker))
order by w.started_at, w.worker;
