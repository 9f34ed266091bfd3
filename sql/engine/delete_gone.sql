-- Deletes the rows that the source no longer has, and counts them in the ledger.
with gone as (
    delete from {target} where {key} = any ($1::text[]::{type}[]) returning 1
)
update sluice.load_ledger set removed = (select count(*) from gone) where load_id = $2
