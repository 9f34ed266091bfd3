-- Plans a file of the records from $3 to $4. No row: somebody else has gone on. $1 stream, $2 partition.
-- A plan that another process has made for the same records must be carried out as it is.
-- $5: a plan below this offset is void, as retention has deleted its records.
update sluice.stream_lake
set pending_to = $4, updated_at = now()
where stream = $1 and partition = $2 and next_offset = $3
  and (pending_to is null or pending_to = $4 or pending_to <= $5)
