-- Runs of which there is something to tell to $1: those after $2 and up to $3, $4 at most; those that have begun, ended or gone
-- on since; and those of the attempts in this batch ($5). `behind` says that attempts after $6 are still to be told.
with fresh as (
    select run_id
    from sluice.dag_run
    where run_id > $2 and run_id <= $3
    order by run_id
    limit $4
), known as (
    select run_id, life, begun, touched from sluice.trail_run where sink = $1
), picked as (
    select run_id, life, begun, touched from known
    union all
    -- Never equal to a row that comes into being meanwhile.
    select n.run_id, 0, false, -1
    from (select run_id from fresh union select unnest($5::bigint[])) n(run_id)
    where not exists (select from known k where k.run_id = n.run_id)
)
select p.run_id, p.life, p.begun, p.touched, f.run_id is not null as fresh,
       r.dag, r.version, r.logical_time, r.interval_start, r.interval_end, r.trigger, r.cause, r.params, r.created_at, r.state,
       r.reason, r.finished_at,
       -- A run is said to have begun a moment after its first task was claimed.
       least(r.started_at, (select min(t.started_at) from sluice.task_run t where t.run_id = p.run_id)) as began,
       coalesce(l.lives, '[]') as lives,
       exists (
           select from sluice.task_run t
           join sluice.attempt a using (task_run_id)
           where t.run_id = p.run_id and a.attempt_id > $6
       ) as behind,
       coalesce((
           select jsonb_object_agg(c.run_id, c.created_at)
           from jsonb_path_query(case when jsonb_typeof(r.cause) = 'array' then r.cause else '[]' end, '$[*].run_id') as of(id)
           join sluice.dag_run c on c.run_id = (of.id #>> '{}')::bigint
           where jsonb_typeof(of.id) = 'number'
       ), '{}') as causes
from picked p
left join fresh f using (run_id)
left join sluice.dag_run r using (run_id)
left join lateral (
    select jsonb_agg(to_jsonb(l) order by l.life) as lives from sluice.run_life l where l.run_id = p.run_id
) l on true
where r.run_id is null or f.run_id is not null or r.finished_at is not null or (not p.begun and r.started_at is not null)
   or p.run_id = any ($5) or jsonb_array_length(l.lives) > p.life
order by p.run_id;
