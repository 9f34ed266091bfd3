-- What each stream counted in the last hour, rule by rule.
select p.stream, w.agg, count(*) as windows, count(*) filter (where not w.closed) as open,
       coalesce(sum(w.events), 0)::bigint as events, max(w.window_end) as last_window_end
from (select distinct stream from sluice.stream_progress) p
join sluice.windows w on w.stream = p.stream and w.window_end > now() - interval '1 hour'
group by p.stream, w.agg
order by p.stream, w.agg
