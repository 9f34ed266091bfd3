-- Attempts whose lease has run out, the longest dead first, and how often their task was lost before.
select a.attempt_id, a.token, a.worker, a.run_id, a.task, a.repeatable,
       (select count(*) from sluice.attempt l where l.task_run_id = a.task_run_id and l.state = 'lost') as losses
from sluice.running_attempt a
where a.lease_until < clock_timestamp()
order by a.lease_until
limit 100;
