-- What people do: the audit log, backfills that the store holds to their limits, tokens for the API and the page.

-- One row an act of a person, written in the transaction of the act. It outlives what it tells of, so nothing here is a
-- foreign key.
create table sluice.audit (
    audit_id  bigint generated always as identity primary key,
    at        timestamptz not null default clock_timestamp(),
    actor     text not null,
    via       text not null check (via in ('cli', 'api', 'web')),
    act       text not null,
    run_id    bigint,
    dag       text,
    task      text,
    reason    text,
    detail    jsonb not null default '{}'
);
create index audit_dag on sluice.audit (dag, audit_id desc);

create function sluice.audit_is_kept() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is only ever added to';
end
$$;
create trigger audit_is_kept before update or delete on sluice.audit
    for each row execute function sluice.audit_is_kept();
create trigger audit_is_not_emptied before truncate on sluice.audit
    for each statement execute function sluice.audit_is_kept();

-- One row a span of runs that a person asked for (`backfill`), or asked for again (`clear`). At most `parallel` of its
-- runs are under way at once; the others are queued and follow in its order, whether or not anyone watches.
create table sluice.backfill (
    backfill_id   bigint generated always as identity primary key,
    kind          text not null check (kind in ('backfill', 'clear')),
    dag           text not null,
    from_day      date not null,
    to_day        date not null,
    newest_first  boolean not null default false,
    parallel      int not null check (parallel > 0),
    actor         text not null,
    created_at    timestamptz not null default clock_timestamp(),
    stopped_at    timestamptz,
    stopped_by    text
);
alter table sluice.dag_run add column backfill_id bigint references sluice.backfill;
create index dag_run_backfill on sluice.dag_run (backfill_id, state) where backfill_id is not null;

-- Who put the task into its state by hand; a mark stays until the task runs again.
alter table sluice.task_run add column marked_by text;

-- One row a token: only its SHA-256 is kept.
create table sluice.token (
    token_id      bigint generated always as identity primary key,
    name          text not null,
    hash          bytea not null unique check (octet_length(hash) = 32),
    role          text not null check (role in ('viewer', 'operator', 'admin')),
    created_at    timestamptz not null default now(),
    created_by    text not null,
    expires_at    timestamptz,
    revoked_at    timestamptz,
    last_used_at  timestamptz
);
create unique index token_name on sluice.token (name) where revoked_at is null;

-- One row a browser that logged in with a token; it is worth what its token is worth.
create table sluice.web_session (
    hash        bytea primary key check (octet_length(hash) = 32),
    token_id    bigint not null references sluice.token on delete cascade,
    created_at  timestamptz not null default now(),
    expires_at  timestamptz not null
);
