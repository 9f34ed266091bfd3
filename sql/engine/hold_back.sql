insert into {out} as o (seq, rules)
select place, array(select jsonb_array_elements_text(broken))
from unnest($1::bigint[], $2::jsonb[]) as failed (place, broken)
on conflict (seq) do update
set rules = o.rules || array(select r from unnest(excluded.rules) r where r <> all (o.rules))
where o.rules is not null
