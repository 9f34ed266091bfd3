-- Rows that are there with other values. A row that is as it should be is not written again.
update {target} as t
set {assignments}
from {build} as b
where {match} and row({old}) is distinct from row({new})
