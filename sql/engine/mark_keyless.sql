insert into {out} as o (seq, rules)
select _sluice_seq, array_remove(array[{rules}], null)
from {staging}
where num_nulls({key}) > 0
on conflict (seq) do update set rules = o.rules || excluded.rules
