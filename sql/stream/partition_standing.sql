-- Where a partition stands. $1 stream, $2 partition.
select generation, committed_offset from sluice.stream_offset where stream = $1 and partition = $2
