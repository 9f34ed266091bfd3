-- Alerts of one key form a case, which a person settles. Channels have limits, beyond which one message tells of many alerts.

-- One row a case: alerts of one source about one key, each at most a day after the one before. `takes` says that the key's next
-- alert joins it. A person confirms it, calls it a false alarm or opens it again (`warehouse::cases`); `changes` counts that.
create table sluice.alert_case (
    case_id      bigint generated always as identity primary key,
    source       text not null,
    key          text not null,
    severity     text not null check (severity in ('low', 'medium', 'high', 'critical')),
    state        text not null default 'open' check (state in ('open', 'confirmed', 'false_alarm')),
    takes        boolean not null default true check (state = 'open' or not takes),
    alerts       bigint not null default 1,
    first_event  timestamptz not null,
    last_event   timestamptz not null,
    opened_at    timestamptz not null default clock_timestamp(),
    settled_at   timestamptz,
    settled_by   text,
    note         text,
    changes      int not null default 0,
    check ((state = 'open') = (settled_at is null) and (settled_at is null) = (settled_by is null))
);
create unique index alert_case_takes on sluice.alert_case (source, key) where takes;
create index alert_case_key on sluice.alert_case (source, key, case_id desc);
create index alert_case_open on sluice.alert_case (case_id desc) where state = 'open';
create index alert_case_settled on sluice.alert_case (case_id) where state <> 'open';

-- One row a rule that fired in a case, and the version of its file that it fired under: what the verdict on the case is about.
create table sluice.alert_case_rule (
    case_id  bigint not null references sluice.alert_case on delete cascade,
    rule     text not null,
    version  text not null default '',
    alerts   bigint not null default 1,
    primary key (case_id, rule, version)
);

alter table sluice.alert add column case_id bigint references sluice.alert_case;
create index alert_case_alerts on sluice.alert (case_id, alert_id);

-- Raises an alert, once. `joins`: it belongs to a case; what settles itself, such as a stock that is low, does not.
create function sluice.raise_alert(dedupe_key text, source text, rule text, severity text, key text, event_time timestamptz,
                                   message text, detail jsonb, joins boolean)
returns bigint language plpgsql as $$
declare
    raised bigint;
    joined bigint;
begin
    insert into sluice.alert as a (dedupe_key, source, rule, severity, key, event_time, message, detail)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict on constraint alert_dedupe_key_key do nothing
    returning a.alert_id into raised;
    if raised is null or not joins then
        return raised;
    end if;
    loop
        update sluice.alert_case c
        set alerts = c.alerts + 1, first_event = least(c.first_event, $6), last_event = greatest(c.last_event, $6),
            severity = case when array_position(array['low', 'medium', 'high', 'critical'], $4)
                               > array_position(array['low', 'medium', 'high', 'critical'], c.severity)
                            then $4 else c.severity end
        where c.source = $2 and c.key = $5 and c.takes and $6 <= c.last_event + interval '1 day'
        returning c.case_id into joined;
        exit when joined is not null;
        update sluice.alert_case c set takes = false where c.source = $2 and c.key = $5 and c.takes;
        -- Another transaction may open one at the same time; this one then joins that.
        insert into sluice.alert_case as c (source, key, severity, first_event, last_event)
        values ($2, $5, $4, $6, $6)
        on conflict do nothing
        returning c.case_id into joined;
        exit when joined is not null;
    end loop;
    insert into sluice.alert_case_rule as r (case_id, rule, version)
    values (joined, $3, coalesce($8 ->> 'version', ''))
    on conflict on constraint alert_case_rule_pkey do update set alerts = r.alerts + 1;
    update sluice.alert a set case_id = joined where a.alert_id = raised;
    return raised;
end
$$;

-- Alerts of before that are open: one case a source and key.
insert into sluice.alert_case (source, key, severity, alerts, first_event, last_event, opened_at)
select source, key, (array['low', 'medium', 'high', 'critical'])[max(array_position(array['low', 'medium', 'high', 'critical'], severity))],
       count(*), min(event_time), max(event_time), min(raised_at)
from sluice.alert a
where state = 'open' and not exists (select from sluice.low_stock l where l.alert_id = a.alert_id)
group by source, key;
update sluice.alert a
set case_id = c.case_id
from sluice.alert_case c
where (c.source, c.key) = (a.source, a.key) and a.state = 'open'
  and not exists (select from sluice.low_stock l where l.alert_id = a.alert_id);
insert into sluice.alert_case_rule (case_id, rule, version, alerts)
select case_id, rule, coalesce(detail ->> 'version', ''), count(*) from sluice.alert where case_id is not null group by 1, 2, 3;

-- One row a channel of the project, as the deliverer that started last has it. `settles`: it is told when a case is settled.
create table sluice.channel (
    channel  text primary key,
    kind     text not null,
    settles  boolean not null,
    at_most  int check (at_most > 0),
    per      interval,
    seen_at  timestamptz not null default now()
);

-- `admitted_at` is when a message got its place within its channel's limit. An alert's or a failed run's that found none becomes
-- part of the message `told_in`, which tells of all of those: `sluice.alert_message` names their alerts.
alter table sluice.outbox
    add column admitted_at timestamptz,
    add column told_in bigint references sluice.outbox on delete set null,
    add column case_id bigint references sluice.alert_case on delete cascade,
    drop constraint outbox_state_check,
    add constraint outbox_state_check check (state in ('pending', 'sending', 'delivered', 'failed', 'bundled'));
create index outbox_admitted on sluice.outbox (channel, admitted_at) where admitted_at is not null;
create index outbox_waiting on sluice.outbox (channel, outbox_id) where state = 'pending' and admitted_at is null;
create index outbox_told_in on sluice.outbox (told_in) where told_in is not null;

create or replace view sluice.alerts as
select a.alert_id, a.source, a.rule, a.severity, a.key, a.event_time, a.raised_at, d.delivered_at, a.detail,
       a.message, a.state, a.case_id, c.state as case_state, a.detail ->> 'version' as version
from sluice.alert a
left join sluice.alert_case c using (case_id)
left join lateral (
    select min(o.delivered_at) as delivered_at
    from sluice.outbox o
    where o.alert_id = a.alert_id
       or o.outbox_id in (select l.outbox_id from sluice.alert_message l where l.alert_id = a.alert_id)
) d on true;

create or replace view sluice.deliveries as
select outbox_id, channel, subject, state, attempts, created_at, delivered_at, location, error, alert_id, told_in, case_id
from sluice.outbox;

create view sluice.cases as
select case_id, source, key, severity, state, alerts, first_event, last_event, opened_at, settled_at, settled_by, note,
       array(select distinct r.rule from sluice.alert_case_rule r where r.case_id = c.case_id order by 1) as rules
from sluice.alert_case c;

-- How often a rule was right: cases that a person settled and in which it fired, by the version of its file.
create view sluice.rule_precision as
select c.source, r.rule, r.version, count(*) filter (where c.state = 'confirmed') as confirmed,
       count(*) filter (where c.state = 'false_alarm') as false_alarms,
       count(*) filter (where c.state = 'confirmed')::float8 / count(*) as precision,
       min(c.opened_at) as since
from sluice.alert_case c
join sluice.alert_case_rule r using (case_id)
where c.state <> 'open'
group by c.source, r.rule, r.version;

create view sluice.channels as
select channel, kind, settles, at_most, per, seen_at
from sluice.channel;
