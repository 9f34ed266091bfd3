-- A history: `:dags` DAGs of three tasks, each due within the hour, and `:runs` runs of theirs that ended in the last
-- 90 days, one in fifty with a task that failed once, each with its attempts and a line of log. One DAG, the first, has a
-- tenth of the runs.
set session_replication_role = replica;
set synchronous_commit = off;

insert into sluice.dag_version (dag, version, plan)
select 'dag_' || n, v.version, jsonb_set(v.plan, '{dag}', to_jsonb('dag_' || n))
from sluice.dag_version v, generate_series(1, :dags) n
where v.dag = 'hourly';
insert into sluice.dag (dag, version, schedule, next_run_at, next_fire_at)
select 'dag_' || n, d.version, d.schedule, now() + n * interval '1 hour' / :dags, date_trunc('hour', now())
from sluice.dag d, generate_series(1, :dags) n
where d.dag = 'hourly';
delete from sluice.dag where dag = 'hourly';

-- Oldest first, as runs are made.
insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger, state, tasks_open, created_at,
                            started_at, finished_at)
select 'dag_' || case when n % 10 = 0 then 1 else 1 + n % :dags end, v.version, made, made - interval '1 hour', made, 'schedule', 'success', 0, made,
       made + interval '20 ms', made + interval '3 s'
from (select version from sluice.dag_version limit 1) v,
     generate_series(1, :runs) n,
     lateral (select now() - interval '90 days' + n * interval '90 days' / (:runs + 1) as made) m;
insert into sluice.task_run (run_id, task, kind, state, needs_total, needs_open, attempts, max_attempts, queued_at, started_at, finished_at,
                             output, rank)
select r.run_id, t.task, 'nothing', 'success', t.needs, 0, 1 + (r.run_id % 50 = 0 and t.task = 'b')::int, 3,
       r.created_at + t.needs * interval '1 s', r.created_at + t.needs * interval '1 s', r.created_at + t.needs * interval '1 s' + interval '900 ms',
       jsonb_build_object('rows', r.run_id, 'of', t.task), extract(epoch from r.created_at)::bigint
from sluice.dag_run r
cross join (values ('a', 0), ('b', 1), ('c', 1)) as t(task, needs)
order by r.run_id, t.task;
insert into sluice.task_edge (run_id, task, needs)
select r.run_id, e.task, e.needs from sluice.dag_run r cross join (values ('b', 'a'), ('c', 'b')) as e(task, needs)
order by r.run_id;
insert into sluice.attempt (task_run_id, attempt, worker, state, lease_until, queued_at, started_at, finished_at, error_domain, error)
select t.task_run_id, n, 'worker-' || t.run_id % 7, case when n < t.attempts then 'failed' else 'success' end, t.finished_at, t.queued_at,
       t.started_at, t.finished_at, case when n < t.attempts then 'external' end, case when n < t.attempts then 'the service is down' end
from sluice.task_run t cross join lateral generate_series(1, t.attempts) n
order by t.task_run_id;
insert into sluice.task_log (attempt_id, seq, at, level, line)
select attempt_id, 1, started_at, 'info', 'read ' || attempt_id || ' rows of the source and wrote them all'
from sluice.attempt
order by attempt_id;

reset session_replication_role;
reset synchronous_commit;
