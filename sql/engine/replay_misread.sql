-- Values of the rows $2, numbered $1, that are no values of the columns $3 of the types $4.
select c.seq, k.name, sluice.misread(c.row ->> k.name, k.type)
from unnest($1::bigint[], $2::text[]) w (seq, text)
cross join lateral (select w.seq, w.text::jsonb as row) c
cross join unnest($3::text[], $4::text[]) as k (name, type)
where sluice.misread(c.row ->> k.name, k.type) is not null
order by c.seq, k.name
