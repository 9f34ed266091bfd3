-- What a DAG's triggers wait for, and what has come of it since the last run.
select s.entry, s.kind, s.source, s.needs, count(e.event_id) as came, max(e.at) as last
from sluice.trigger_source s
left join sluice.trigger_event e
       on e.dag = s.dag and e.entry = s.entry and e.source = s.source and e.run_id is null and e.refused is null
where s.dag = $1
group by s.entry, s.kind, s.source, s.needs
order by s.entry, s.source
