select count(*),
       count(*) filter (where o.seq is null),
       count(*) filter (where o.rules is not null),
       count(*) filter (where o.seq is not null and o.rules is null)
       {sums}
from (select _sluice_seq {balances} from {staging}) v
left join {out} o on o.seq = v._sluice_seq
