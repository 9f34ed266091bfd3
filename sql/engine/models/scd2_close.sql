-- Ends the open versions that are followed by another one.
update {target} as t
set valid_to = b.changed_at
from scd2_change as b
where {match} and t.valid_to is null and b.scd2_fate = 'change'
