-- Dead letters that are not on their topic yet; a second process takes others. $1 stream, $2 how many at most,
-- $3 how many bytes of payload: the letter that goes beyond it is the last.
with due as (
    select dead_letter_id, coalesce(octet_length(payload), 0) as bytes
    from sluice.dead_letter
    where stream = $1 and produced_at is null
    order by dead_letter_id
    limit $2
    for update skip locked
), summed as (
    select dead_letter_id, sum(bytes) over (order by dead_letter_id) - bytes as before
    from due
)
select dead_letter_id, topic, partition, record_offset, reason, detail, key, payload
from summed
join sluice.dead_letter using (dead_letter_id)
where before < $3
order by dead_letter_id
