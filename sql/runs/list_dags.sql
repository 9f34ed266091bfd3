select d.dag, d.schedule, case when d.paused then null else d.next_run_at end as next, d.paused,
       r.state as last_state, r.run_id as last_run, d.timezone, d.description, d.version
from sluice.dag d
left join lateral (
    select state, run_id from sluice.dag_run r where r.dag = d.dag order by run_id desc limit 1
) r on true
where d.retired_at is null
order by d.dag;
