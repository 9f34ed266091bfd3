-- Rows and checksum of each part of some ranges of keys. A part of a row's MD5, 60 bits, is what both servers can sum up.
select cast(bucket as signed), count(*), cast(coalesce(sum(part), 0) as char)
from (
    select {bucket} as bucket, cast(conv(left(md5({text}), 15), 16, 10) as unsigned) as part
    from {table}
    where {ranges}
) row_sums
group by bucket
