-- Opens versions. A member that was never there is valid from the beginning of time; one that had been closed,
-- from its return, which is never before its last version ended.
insert into {target} ({columns}, is_inferred, valid_from)
select {values}, b.scd2_inferred,
       case
           when b.scd2_fate = 'change' then b.changed_at
           when past.ended is null then {beginning}
           else greatest(past.ended, b.changed_at)
       end
from scd2_change as b
left join lateral (select max(t.valid_to) as ended from {target} as t where {match}) as past on true
where b.scd2_fate in ('new', 'change')
order by {key}
