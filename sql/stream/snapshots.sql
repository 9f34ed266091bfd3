-- A partition's state as far as it is kept. $1 stream, $2 partition.
select segment, record_offset, data from sluice.stream_state where stream = $1 and partition = $2
