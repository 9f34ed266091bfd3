-- The channels of the project, and no others. One array a column.
with gone as (
    delete from sluice.channel where channel <> all ($1)
)
insert into sluice.channel as c (channel, kind, settles, at_most, per)
select channel, kind, settles, at_most, make_interval(secs => per)
from unnest($1::text[], $2::text[], $3::bool[], $4::int[], $5::float8[]) as n (channel, kind, settles, at_most, per)
on conflict (channel) do update
    set kind = excluded.kind, settles = excluded.settles, at_most = excluded.at_most, per = excluded.per, seen_at = now()
