-- A row of which the table has a newer version, by the cursor, is not put over it: it counts as deduplicated.
insert into {out} (seq)
select s._sluice_seq
from {staging} s
join {target} t on {same_key}
where t.{cursor} > s.{cursor}
  and not exists (select from {out} o where o.seq = s._sluice_seq)
