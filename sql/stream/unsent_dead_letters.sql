-- Dead letters that are not on their topic yet; a second process takes others. $1 stream, $2 how many.
select dead_letter_id, topic, partition, record_offset, reason, detail, key, payload
from sluice.dead_letter
where stream = $1 and produced_at is null
order by dead_letter_id
limit $2
for update skip locked
