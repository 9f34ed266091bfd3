-- What attempts published, or had refused by a gate.
select a.attempt_id, l.load_id, l.dataset, l.verdict, l.loaded
from sluice.attempt a
join sluice.task_run t using (task_run_id)
join sluice.load_ledger l on l.run_id = t.run_id and l.task = t.task
    -- The index is that of the time, and the token is the attempt's own.
    and l.published_at between a.started_at and a.finished_at and l.token = a.token
where a.attempt_id = any ($1)
order by l.load_id;
