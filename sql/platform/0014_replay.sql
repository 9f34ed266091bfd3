-- Rows that a gate held back go through it again, or are given up.

-- `terms` is what a load was asked for and a replay must keep to: key, strategy, sums. `replay_of` is the load whose held rows
-- a replay took through the gate again: its `read` are rows of `quarantined_row` that were open, those `loaded` and
-- `deduplicated` are settled by it, those `quarantined` stay open.
alter table sluice.load_ledger
    add column terms jsonb,
    add column replay_of bigint references sluice.load_ledger;
create index load_ledger_replay on sluice.load_ledger (replay_of) where replay_of is not null;

-- `row` and `rules` stay what the load found, so that an overlapping extract knows the row again. `corrected` is the row as it
-- last went through the gate, where that differs; `broke` the rules that it broke then.
alter table sluice.quarantined_row
    add column state text not null default 'open' check (state in ('open', 'replayed', 'dismissed')),
    add column settled_by bigint references sluice.load_ledger,
    add column settled_at timestamptz,
    add column reason text,
    add column corrected jsonb,
    add column broke text[] check (cardinality(broke) > 0),
    add column replays int not null default 0 check (replays >= 0),
    add check (case state
        when 'open' then settled_by is null and settled_at is null and reason is null
        when 'replayed' then settled_by is not null and settled_at is not null and reason is null
        else settled_by is null and settled_at is not null and reason is not null
    end);
create index quarantined_row_open on sluice.quarantined_row (dataset, load_id, seq) where state = 'open';

-- Why a text cannot be a value of a type; null where it can, with no digit lost.
create function sluice.misread(value text, type text) returns text language plpgsql stable as $$
declare
    exact boolean;
begin
    if value is null then
        return null;
    end if;
    execute format('select %L::%s is not null', value, type);
    if type like 'numeric(%' then
        execute format('select %L::numeric = %L::%s', value, value, type) into exact;
        if not exact then
            return value || ' has more digits than ' || type;
        end if;
    end if;
    return null;
exception when others then
    return sqlerrm;
end
$$;

create or replace view sluice.loads as
select load_id, run_id, dataset, interval_start, interval_end, read, loaded, quarantined, deduplicated, verdict,
       published_at, task, suite, suite_hash, batch_id, sums, removed, replay_of
from sluice.load_ledger;

-- Every row that was ever held back. `rules` are those that it broke when it last stood at its gate.
create or replace view sluice.quarantine as
select load_id, dataset, row, coalesce(broke, rules) as rules, source_file, source_line, seq, state, settled_by, settled_at,
       reason, corrected, replays
from sluice.quarantined_row;
