-- Rows that are not there yet.
insert into {target} ({columns})
select {columns}
from {build} as b
where not exists (select from {target} as t where {match})
order by {order}
