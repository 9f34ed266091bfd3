-- Plans a file of the records from $3 to $4. No row: somebody else has gone on. $1 stream, $2 partition.
update sluice.stream_lake
set pending_to = $4, updated_at = now()
where stream = $1 and partition = $2 and next_offset = $3 and (pending_to is null or pending_to = $4)
