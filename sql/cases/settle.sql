-- The verdict $2 on case $1, by $3, with the note $4; its alerts are closed, or open again. A case that is opened again takes
-- its key's alerts unless another one does.
with settled as (
    update sluice.alert_case c
    set state = $2, changes = c.changes + 1, note = $4,
        settled_at = case when $2 <> 'open' then clock_timestamp() end,
        settled_by = case when $2 <> 'open' then $3 end,
        takes = $2 = 'open' and not exists (
            select from sluice.alert_case o
            where (o.source, o.key) = (c.source, c.key) and o.takes and o.case_id <> c.case_id)
    where c.case_id = $1 and c.state <> $2
    returning c.case_id, c.changes
), alerts as (
    update sluice.alert a
    set state = case when $2 = 'open' then 'open' else 'closed' end
    from settled
    where a.case_id = settled.case_id
)
select changes from settled
