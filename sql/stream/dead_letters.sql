-- The latest dead letters. $1 stream or null, $2 how many.
select dead_letter_id, stream, topic, partition, record_offset, reason, detail, at, produced_at
from sluice.dead_letters
where $1::text is null or stream = $1
order by dead_letter_id desc
limit $2
