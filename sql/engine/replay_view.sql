-- The rows that the suite judges: no duplicates, and none that nothing was done about.
create view {view} as
select s.*
from {staging} s
where s._sluice_seq <> all ('{{standing}}'::bigint[])
  and not exists (select from {out} o where o.seq = s._sluice_seq and o.rules is null)
