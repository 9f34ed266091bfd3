-- One row per dataset that was loaded in the day before $1: what its gates let through and held back.
select dataset,
       sum(read)::bigint as read,
       sum(loaded)::bigint as loaded,
       sum(quarantined)::bigint as quarantined,
       sum(deduplicated)::bigint as deduplicated,
       bool_or(verdict = 'failed') as failed
from sluice.load_ledger
where published_at > $1::timestamptz - interval '1 day' and published_at <= $1::timestamptz
group by dataset
having sum(read) > 0
order by sum(quarantined) desc, sum(read) desc, dataset
