-- What an entry has come to, locked: whoever comes second finds nothing. At most `$3`, where each makes a run of its own.
select event_id, source, detail
from sluice.trigger_event
where dag = $1 and entry = $2 and run_id is null and refused is null
order by event_id
limit $3
for update;
