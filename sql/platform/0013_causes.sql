-- A batch that a gate refused keeps its row in the ledger, and its next try publishes by updating that one: a publication
-- as any other. A DAG that is retired waits for nothing.

create or replace function sluice.run_succeeded() returns trigger language plpgsql as $$
begin
    insert into sluice.trigger_event (dag, entry, kind, source, key, detail)
    select s.dag, s.entry, s.kind, s.source, 'run ' || new.run_id,
           jsonb_build_object('dag', new.dag, 'run_id', new.run_id, 'logical_time', new.logical_time,
                              'interval_start', new.interval_start, 'interval_end', new.interval_end)
    from sluice.trigger_source s
    join sluice.dag d on d.dag = s.dag and not d.paused and d.retired_at is null
    where s.kind = 'dag' and s.source = new.dag
    on conflict do nothing;
    return null;
end $$;

create or replace function sluice.dataset_published() returns trigger language plpgsql as $$
begin
    insert into sluice.trigger_event (dag, entry, kind, source, key, detail)
    select s.dag, s.entry, s.kind, s.source, 'load ' || new.load_id,
           jsonb_build_object('dataset', new.dataset, 'load_id', new.load_id, 'run_id', new.run_id,
                              'interval_start', new.interval_start, 'interval_end', new.interval_end)
    from sluice.trigger_source s
    join sluice.dag d on d.dag = s.dag and not d.paused and d.retired_at is null
    where s.kind = 'dataset' and s.source = new.dataset
      and not exists (select from sluice.dag_run r where r.run_id = new.run_id and r.dag = s.dag)
    on conflict do nothing;
    return null;
end $$;

create trigger dataset_published_late after update of verdict on sluice.load_ledger
    for each row when (old.verdict = 'failed' and new.verdict <> 'failed')
    execute function sluice.dataset_published();
