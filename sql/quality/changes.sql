-- The changes of suite $1, newest first, at most $2, each with the version before it.
select hash, lag(hash) over (order by change_id) as before, actor, at
from sluice.suite_change
where suite = $1
order by change_id desc
limit $2
