-- Below this no transaction can still write: now less the lag, or the start of the oldest one that writes.
-- `trx_started` is in the server's own zone.
select cast(least(
           utc_timestamp(6) - interval ? microsecond,
           coalesce(
               convert_tz(min(t.trx_started), 'SYSTEM', '+00:00') - interval 1 microsecond,
               utc_timestamp(6))) as char)
from information_schema.innodb_trx t
where t.trx_mysql_thread_id <> connection_id() and (t.trx_rows_modified > 0 or t.trx_query is not null)
