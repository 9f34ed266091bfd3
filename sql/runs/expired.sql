-- Attempts whose lease has run out, the longest dead first, and how often their task was lost before.
select a.attempt_id, a.token, a.worker, t.run_id, t.task, t.repeatable,
       (select count(*) from sluice.attempt l where l.task_run_id = a.task_run_id and l.state = 'lost') as losses
from sluice.attempt a
join sluice.task_run t using (task_run_id)
where a.state = 'running' and a.lease_until < clock_timestamp()
order by a.lease_until
limit 100;
