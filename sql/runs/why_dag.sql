-- What a DAG stands before: its schedule's next run, and whether anyone is there to make it.
select d.paused, d.retired_at, d.next_run_at, d.timezone,
       exists (select from sluice.leader l where l.role = 'scheduler' and l.lease_until > clock_timestamp()) as led,
       (select count(*) from sluice.trigger_event e where e.dag = d.dag and e.refused is not null) as refused
from sluice.dag d
where d.dag = $1
