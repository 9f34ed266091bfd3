-- Each deployed DAG: seconds since its last success, how late its next scheduled run is, whether its latest ended
-- run failed.
select d.dag, d.paused,
       extract(epoch from now() - (select max(finished_at) from sluice.dag_run r where r.dag = d.dag and r.state = 'success'))::float8
           as success_age_seconds,
       case when not d.paused then greatest(extract(epoch from now() - d.next_run_at), 0)::float8 end as overdue_seconds,
       (select r.state = 'failed' from sluice.dag_run r where r.dag = d.dag and r.state <> 'running' order by r.run_id desc limit 1)
           as failing
from sluice.dags d
where d.retired_at is null
order by d.dag
