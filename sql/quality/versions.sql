-- The versions of suite $1, newest first: what was first seen when, whether it is the one that is deployed, what it judged.
select v.hash,
       v.seen_at,
       v.hash is not distinct from (
           select c.hash from sluice.suite_change c where c.suite = v.suite order by c.change_id desc limit 1
       ) as current,
       (select c.actor from sluice.suite_change c where c.suite = v.suite and c.hash = v.hash order by c.change_id limit 1)
           as actor,
       (select count(*) from sluice.load_ledger l where l.suite = v.suite and l.suite_hash = v.hash) as loads,
       (select max(r.at) from sluice.check_result r where r.suite = v.suite and r.suite_hash = v.hash) as judged_at
from sluice.suite_version v
where v.suite = $1
order by v.seen_at desc, v.hash
