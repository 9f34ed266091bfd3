-- A page of dead letters, newest first. $1 stream, $2 reason (each null = any), $3 older than, $4 how many.
select dead_letter_id, stream, topic, partition, record_offset, reason, detail, at, produced_at
from sluice.dead_letters
where ($1::text is null or stream = $1)
  and ($2::text is null or reason = $2)
  and ($3::bigint is null or dead_letter_id < $3)
order by dead_letter_id desc
limit $4
