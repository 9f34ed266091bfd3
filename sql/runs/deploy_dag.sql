-- The scheduler's row of a DAG. The next run stays as planned unless the schedule itself changed.
insert into sluice.dag as d (dag, version, description, schedule, timezone, next_run_at, next_fire_at)
values ($1, $2, $3, $4, $5, $6, $9)
on conflict (dag) do update
set version = excluded.version,
    description = excluded.description,
    (next_run_at, next_fire_at) = (
        select case when same then d.next_run_at else excluded.next_run_at end,
               case when same then d.next_fire_at else excluded.next_fire_at end
        from (select d.retired_at is null and not $7
                     and $8::jsonb - 'deadline' is not distinct from (
                         select nullif(v.plan -> 'schedule', 'null') - 'deadline'
                         from sluice.dag_version v where v.dag = d.dag and v.version = d.version)) s (same)
    ),
    schedule = excluded.schedule,
    timezone = excluded.timezone,
    deployed_at = case when d.version = excluded.version then d.deployed_at else now() end,
    retired_at = null
returning next_run_at;
