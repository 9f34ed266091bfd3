-- Where the counters stand before a pass of the demo.
select
    (select coalesce(max(run_id), 0) from sluice.dag_run) as run_id,
    (select coalesce(max(outbox_id), 0) from sluice.outbox) as outbox_id,
    (select coalesce(sum(counted + deduplicated + late + malformed), 0)::int8 from sluice.stream_offset) as events,
    now() as at
