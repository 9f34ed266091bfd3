-- Fills in inferred members, and corrects versions, where they stand: facts keep pointing at them.
update {target} as t
set {assignments}, is_inferred = false
from scd2_change as b
where {match} and t.valid_to is null and b.scd2_fate in ('fill', 'correct')
