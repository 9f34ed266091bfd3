-- Whether a unique index is on just this column.
select exists (
    select 1
    from information_schema.statistics s
    where s.table_schema = database() and s.table_name = ? and s.non_unique = 0
    group by s.index_name
    having count(*) = 1 and max(s.column_name) = ? and max(s.sub_part is not null) = 0
)
