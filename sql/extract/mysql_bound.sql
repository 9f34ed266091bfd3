-- Given a time and a lag: below which time no transaction can still write, as far as the list of transactions
-- tells; null where the list is older than this connection's own transaction, which then is not in it.
-- `trx_started` is in the server's own zone, in whole seconds.
select if(
    max(t.trx_mysql_thread_id = connection_id()),
    cast(least(
        cast(? as datetime(6)),
        coalesce(
            convert_tz(
                min(if(
                    t.trx_mysql_thread_id <> connection_id()
                        and (t.trx_rows_modified > 0 or t.trx_query is not null),
                    t.trx_started, null)),
                'SYSTEM', '+00:00') - interval 1 microsecond,
            utc_timestamp(6))) - interval ? microsecond as char),
    null)
from information_schema.innodb_trx t
