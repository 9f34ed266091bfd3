-- Takes or keeps a role for so many seconds. Gives the token, or nothing where another holds it.
insert into sluice.leader as l (role, holder, lease_until)
values ($1, $2, clock_timestamp() + make_interval(secs => $3))
on conflict (role) do update
set token = case when l.holder = excluded.holder then l.token else nextval('sluice.fencing_token') end,
    holder = excluded.holder,
    lease_until = excluded.lease_until
where l.holder = excluded.holder or l.lease_until < clock_timestamp()
returning token;
