-- What each stream counted in windows that began in the last hour, rule by rule.
select r.stream, r.agg, count(*) as windows, count(*) filter (where not w.closed) as open,
       coalesce(sum(w.events), 0)::bigint as events, max(w.window_end) as last_window_end
from sluice.stream_rules r
join sluice.windows w on w.stream = r.stream and w.agg = r.agg and w.window_start > now() - interval '1 hour'
group by r.stream, r.agg
order by r.stream, r.agg
