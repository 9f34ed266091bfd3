insert into {target} as t ({columns})
select {columns}
from {staging} s
where not exists (select 1 from {out} o where o.seq = s._sluice_seq)
{conflict}
