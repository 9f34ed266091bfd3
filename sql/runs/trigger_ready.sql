-- Entries for which enough has come, the longest waiting first.
select e.dag, e.entry, s.kind, d.version
from sluice.trigger_event e
join sluice.trigger_source s using (dag, entry, source)
join sluice.dag d on d.dag = e.dag and not d.paused and d.retired_at is null
where e.run_id is null and e.refused is null
group by e.dag, e.entry, s.kind, d.version
having count(distinct e.source) >= max(s.needs)
order by min(e.event_id)
limit 100;
