-- Alerts, and the messages that tell of them.

-- One row an alert; `dedupe_key` makes a replay raise it once.
create table sluice.alert (
    alert_id    bigint generated always as identity primary key,
    dedupe_key  text not null unique,
    source      text not null,
    rule        text not null,
    severity    text not null check (severity in ('low', 'medium', 'high', 'critical')),
    key         text not null,
    event_time  timestamptz not null,
    raised_at   timestamptz not null default clock_timestamp(),
    message     text not null,
    detail      jsonb not null default '{}',
    state       text not null default 'open' check (state in ('open', 'closed'))
);
create index alert_recent on sluice.alert (raised_at desc);
create index alert_cooldown on sluice.alert (source, rule, key, event_time desc);

-- One row a message to a channel, written in the transaction that decided it and sent once.
create table sluice.outbox (
    outbox_id     bigint generated always as identity primary key,
    dedupe_key    text not null unique,
    channel       text not null,
    alert_id      bigint references sluice.alert on delete cascade,
    subject       text not null,
    payload       jsonb not null,
    state         text not null default 'pending' check (state in ('pending', 'sending', 'delivered', 'failed')),
    attempts      int not null default 0,
    not_before    timestamptz not null default now(),
    created_at    timestamptz not null default now(),
    delivered_at  timestamptz,
    location      text,
    error         text
);
create index outbox_pending on sluice.outbox (not_before) where state in ('pending', 'sending');
create index outbox_alert on sluice.outbox (alert_id);

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

-- One row a time that a product was found low: open until it is restocked, and told once.
create table sluice.low_stock (
    low_stock_id  bigint generated always as identity primary key,
    product_id    bigint not null,
    alert_id      bigint not null references sluice.alert on delete cascade,
    opened_at     timestamptz not null,
    closed_at     timestamptz
);
create unique index low_stock_open on sluice.low_stock (product_id) where closed_at is null;
