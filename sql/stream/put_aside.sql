-- Records from $4 up to $5 that were not taken for events: whether one was ahead of the clock is not asked again.
-- $1 stream, $2 topic, $3 partition.
select record_offset
from sluice.dead_letter
where stream = $1 and topic = $2 and partition = $3 and record_offset >= $4 and record_offset < $5
  and reason <> 'late'
