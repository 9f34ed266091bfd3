-- Rows that close a version, rows older than the open version, rows that do not say since when they are so.
select count(*) filter (where scd2_fate = 'change' and changed_at is not null),
       count(*) filter (where scd2_fate = 'stale'),
       count(*) filter (where changed_at is null and not scd2_inferred)
from scd2_change
