-- As mysql_buckets.sql.
select bucket::bigint, count(*), coalesce(sum(part), 0)::text
from (
    select {bucket} as bucket, ('x' || left(md5({text}), 15))::bit(60)::bigint as part
    from {table}
    where {ranges}
) row_sums
group by bucket
