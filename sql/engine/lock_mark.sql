-- The mark of one extract in target $6, held until the transaction ends.
select cursor, key
from sluice.high_water_mark
where dag = $1 and task = $2 and connection = $3 and source = $4 and cursor_column = $5 and target = $6
for update
