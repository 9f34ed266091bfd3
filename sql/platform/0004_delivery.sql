-- A message that is written wakes the deliverers; they also look by themselves, as a notification can be lost.
create function sluice.outbox_written() returns trigger language plpgsql as $$
begin
    perform pg_notify('sluice_outbox', '');
    return null;
end
$$;
create trigger outbox_written after insert on sluice.outbox
    for each statement execute function sluice.outbox_written();

-- One row an alert that a message tells of together with others; a message about one alert names it itself.
create table sluice.alert_message (
    outbox_id  bigint not null references sluice.outbox on delete cascade,
    alert_id   bigint not null references sluice.alert on delete cascade,
    primary key (alert_id, outbox_id)
);
create index alert_message_outbox on sluice.alert_message (outbox_id);

create or replace view sluice.alerts as
select a.alert_id, a.source, a.rule, a.severity, a.key, a.event_time, a.raised_at, d.delivered_at, a.detail,
       a.message, a.state
from sluice.alert a
left join lateral (
    select min(o.delivered_at) as delivered_at
    from sluice.outbox o
    where o.alert_id = a.alert_id
       or o.outbox_id in (select l.outbox_id from sluice.alert_message l where l.alert_id = a.alert_id)
) d on true;

-- One row a time that a product was found low: open until it is restocked, and told once.
create table sluice.low_stock (
    low_stock_id  bigint generated always as identity primary key,
    product_id    bigint not null,
    alert_id      bigint not null references sluice.alert on delete cascade,
    opened_at     timestamptz not null,
    closed_at     timestamptz
);
create unique index low_stock_open on sluice.low_stock (product_id) where closed_at is null;
