-- Places left of the $2 that channel $1 has in $3 seconds.
select greatest($2 - count(*), 0)
from sluice.outbox
where channel = $1 and admitted_at > clock_timestamp() - make_interval(secs => $3)
