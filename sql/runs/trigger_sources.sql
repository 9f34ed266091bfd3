-- Makes a DAG's sources those of its current plan, and forgets causes that wait for an entry that is gone. What was refused
-- has another try.
with wanted as (
    select * from unnest($2::int[], $3::text[], $4::text[], $5::int[]) as w(entry, kind, source, needs)
), gone as (
    delete from sluice.trigger_source s
    where s.dag = $1 and not exists (select from wanted w where w.entry = s.entry and w.kind = s.kind and w.source = s.source)
    returning s.entry, s.source
), forgotten as (
    delete from sluice.trigger_event e
    using gone
    where e.dag = $1 and e.entry = gone.entry and e.source = gone.source and e.run_id is null
), tried_again as (
    update sluice.trigger_event e
    set refused = null
    from wanted w
    where e.dag = $1 and e.refused is not null and e.entry = w.entry and e.source = w.source
)
insert into sluice.trigger_source (dag, entry, kind, source, needs)
select $1, entry, kind, source, needs from wanted
on conflict (dag, entry, source) do update set kind = excluded.kind, needs = excluded.needs;
