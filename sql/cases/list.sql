-- A page of cases, newest first. $1 source, $2 key, $3 state (each null = any), $4 older than, $5 how many.
select case_id, source, key, severity, state, alerts, first_event, last_event, opened_at, settled_at, settled_by, note, rules
from sluice.cases
where ($1::text is null or source = $1)
  and ($2::text is null or key = $2)
  and ($3::text is null or state = $3)
  and ($4::bigint is null or case_id < $4)
order by case_id desc
limit $5
