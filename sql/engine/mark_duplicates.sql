-- The first of several rows that are alike stays; a row that stays out for a rule is no duplicate.
insert into {out} (seq)
select seq
from (
    select _sluice_seq as seq, row_number() over (partition by {columns} order by _sluice_seq) as place
    from {staging} s
    where not exists (select 1 from {out} o where o.seq = s._sluice_seq)
) alike
where place > 1
