-- Counts the planned file that now stands in the lake. $1 stream, $2 partition, $3 from, $4 to.
update sluice.stream_lake
set next_offset = $4, pending_to = null, updated_at = now()
where stream = $1 and partition = $2 and next_offset = $3 and pending_to = $4
