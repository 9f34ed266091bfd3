-- The marks of one extract, one row per target that has one.
select target, cursor, key
from sluice.high_water_mark
where dag = $1 and task = $2 and connection = $3 and source = $4 and cursor_column = $5
