-- Of several rows of one key the last stays.
insert into {out} (seq)
select seq
from (
    select _sluice_seq as seq, row_number() over (partition by {key} order by _sluice_seq desc) as place
    from {staging} s
    where not exists (select 1 from {out} o where o.seq = s._sluice_seq)
) versions
where place > 1
