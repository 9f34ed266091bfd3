-- What starts a run other than a schedule or a person: the success of another DAG, the publication of datasets, a file
-- that arrived, a request to a webhook.

-- What the current version of each DAG waits for: a row for each source of each entry of its `triggers:`. `needs` says of
-- how many different sources of the entry something must have come before it fires.
create table sluice.trigger_source (
    dag     text not null references sluice.dag on delete cascade,
    entry   int not null,
    kind    text not null check (kind in ('dag', 'dataset', 'file', 'webhook')),
    source  text not null,
    needs   int not null check (needs >= 1),
    primary key (dag, entry, source)
);
create index trigger_source_by on sluice.trigger_source (kind, source);

-- One row a cause and the entry that it concerns. The cause of our own is written in its own transaction, and the run is
-- made in the transaction that names it here, so none is lost or counted twice. `key` tells causes of a source apart. `refused`
-- says why no run could be made of it: it waits for another version of its DAG, and keeps no other cause waiting. No
-- foreign key to the DAG: it would lock that row in a transaction that holds the locks of others.
create table sluice.trigger_event (
    event_id  bigint generated always as identity primary key,
    dag       text not null,
    entry     int not null,
    kind      text not null,
    source    text not null,
    key       text not null,
    detail    jsonb not null,
    at        timestamptz not null default clock_timestamp(),
    run_id    bigint references sluice.dag_run on delete cascade,
    refused   text,
    unique (dag, entry, source, key)
);
create index trigger_event_open on sluice.trigger_event (dag, entry, source)
    where run_id is null and refused is null;
create index trigger_event_refused on sluice.trigger_event (dag) where refused is not null;
create index trigger_event_run on sluice.trigger_event (run_id) where run_id is not null;

-- By database triggers, since several statements end runs and publish datasets, and none may forget a cause. What happens
-- while a DAG is paused or retired does not concern it, and one task of a DAG is not the DAG.
create function sluice.run_succeeded() returns trigger language plpgsql as $$
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
create trigger run_succeeded after update of state on sluice.dag_run
    for each row when (new.state = 'success' and old.state <> 'success' and new.only_task is null)
    execute function sluice.run_succeeded();

-- A dataset that a DAG publishes itself is no news to it. A batch that a gate refused keeps its row in the ledger, and its
-- next try publishes by updating that one: a publication as any other.
create function sluice.dataset_published() returns trigger language plpgsql as $$
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
create trigger dataset_published after insert on sluice.load_ledger
    for each row when (new.verdict <> 'failed')
    execute function sluice.dataset_published();
create trigger dataset_published_late after update of verdict on sluice.load_ledger
    for each row when (old.verdict = 'failed' and new.verdict <> 'failed')
    execute function sluice.dataset_published();
