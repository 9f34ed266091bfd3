-- What becomes of each row of the build. `fate` is
--   new:      no open version is there
--   fill:     the open version is inferred and the member's own row has come
--   correct:  the open version began at this very instant, with other values
--   change:   the open version ends and another one begins
--   stale:    the open version is younger than the row
create temporary table scd2_change on commit drop as
select b.*, {inferred} as scd2_inferred, t.valid_from as scd2_open_from,
       case
           when t.valid_from is null then 'new'
           when t.is_inferred then 'fill'
           when b.changed_at = t.valid_from then 'correct'
           when b.changed_at < t.valid_from then 'stale'
           else 'change'
       end as scd2_fate
from {build} as b
left join {target} as t on {match} and t.valid_to is null
where t.valid_from is null
   or not {inferred} and (t.is_inferred or row({old}) is distinct from row({new}))
