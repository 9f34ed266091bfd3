-- The fire that a DAG's next run is for; `next_run_at` is when that run is made, up to the schedule's jitter later.
alter table sluice.dag add column next_fire_at timestamptz;
update sluice.dag set next_fire_at = next_run_at;
