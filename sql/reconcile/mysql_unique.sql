-- Whether a unique index is on just these columns, which are sorted and joined by commas.
select exists (
    select 1
    from information_schema.statistics s
    where s.table_schema = database() and s.table_name = ? and s.non_unique = 0
    group by s.index_name
    having group_concat(s.column_name order by binary s.column_name separator ',') = ? and max(s.sub_part is not null) = 0
)
