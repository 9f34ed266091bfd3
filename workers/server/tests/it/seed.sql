-- A shop's platform after two weeks, made up: what tests and the page's developers look at.
insert into sluice.dag (dag, version, description, schedule, timezone, next_run_at) values
    ('daily_sales', 'a41f09c2', 'Yesterday''s shop transactions into the warehouse, through gates', '0 2 * * *', 'Europe/Berlin', now() + interval '7 hours'),
    ('daily_report', '77b0c1de', 'The 8 o''clock mail: revenue, products, quality, alerts', '0 8 * * *', 'Europe/Berlin', now() + interval '13 hours'),
    ('low_stock', '0c93aa41', 'Products that run low, with an order proposal', '0 * * * *', 'Europe/Berlin', now() + interval '25 minutes'),
    ('ratings', '5d1e88f7', 'Product ratings over HTTP', '30 3 * * *', 'Europe/Berlin', now() + interval '8 hours'),
    ('exports', 'e2b7c604', 'Marts as Parquet to the lake, weekly', '0 5 * * 1', 'Europe/Berlin', now() + interval '2 days'),
    ('shop_history', '19aa03b5', 'A year of SimMart, generated once', '@once', 'Europe/Berlin', null);
insert into sluice.dag_version (dag, version, plan) select dag, version, '{}' from sluice.dag;

-- Runs: nightly ones for 14 days, hourly ones for two, one of each now and then in trouble.
insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger, state, tasks_open, created_at, started_at, finished_at)
select d.dag, d.version, at, at - every, at, 'schedule',
       case when d.dag = 'daily_sales' and n = 0 then 'running'
            when (d.dag = 'daily_sales' and n in (4, 9)) or (d.dag = 'ratings' and n = 2) then 'failed'
            when d.dag = 'low_stock' and n = 7 then 'cancelled' else 'success' end,
       case when d.dag = 'daily_sales' and n = 0 then 6 else 0 end,
       at, at + interval '1 second',
       case when d.dag = 'daily_sales' and n = 0 then null
            else at + make_interval(secs => (hashtext(d.dag || n) & 63) * 0.12 + case d.dag when 'daily_sales' then 46 when 'ratings' then 18 else 3 end) end
from (values ('shop_history', interval '1 day', 1), ('daily_sales', interval '1 day', 15), ('daily_report', interval '1 day', 14),
             ('ratings', interval '1 day', 14), ('exports', interval '7 days', 2), ('low_stock', interval '1 hour', 30)) as plan (dag, every, runs)
join sluice.dag d using (dag)
cross join lateral generate_series(plan.runs - 1, 0, -1) as n
cross join lateral (select date_trunc('minute', now()) - n * every - interval '40 seconds' as at) t
order by at;

create temporary table planned (dag text, task text, kind text, needs text[], place int);
insert into planned
select 'daily_sales', 'extract_' || t, 'extract_mysql', '{}', 0 from unnest('{customers,products,orders,order_items,payments,inventory}'::text[]) t
union all select 'daily_sales', 'load_' || t, 'load', array['extract_' || t], 1 from unnest('{customers,products,orders,order_items,payments,inventory}'::text[]) t
union all values ('daily_sales', 'build_warehouse', 'transform', '{load_customers,load_products,load_orders,load_order_items,load_payments,load_inventory}'::text[], 2),
    ('daily_sales', 'build_marts', 'transform', '{build_warehouse}', 3), ('daily_sales', 'check_marts', 'validate', '{build_marts,load_orders}', 4),
    ('daily_report', 'send_report', 'report', '{}', 0), ('low_stock', 'check_stock', 'alert_low_stock', '{}', 0),
    ('ratings', 'fetch', 'extract_http', '{}', 0), ('ratings', 'load_ratings', 'load', '{fetch}', 1),
    ('exports', 'export_marts', 'export', '{}', 0), ('shop_history', 'generate', 'generate', '{}', 0);

insert into sluice.task_run (run_id, task, kind, state, needs_open, attempts, max_attempts, queued_at, started_at, finished_at, reason, output)
select r.run_id, p.task, p.kind, s.state, 0, case when s.state in ('waiting', 'queued', 'upstream_failed') then 0 when p.task = 'load_payments' and r.run_id % 3 = 0 then 2 else 1 end, 4,
       case when s.state <> 'waiting' then t.begin - interval '400 milliseconds' end,
       case when s.state in ('success', 'failed', 'running') then t.begin end,
       case when s.state in ('success', 'failed') then t.begin + t.took when s.state in ('upstream_failed', 'cancelled') then t.begin end,
       case when s.state = 'upstream_failed' then 'load_orders failed' end,
       case when p.kind = 'load' and s.state = 'success' then '{"loaded": 1200}'::jsonb end
from sluice.dag_run r
join planned p using (dag)
cross join lateral (
    select r.started_at + p.place * interval '9 seconds' + make_interval(secs => (hashtext(p.task) & 15) * 0.2) as begin,
           make_interval(secs => 1.5 + (hashtext(p.task || r.run_id) & 31) * 0.2) as took
) t
cross join lateral (
    select case when r.state = 'running' then case when p.place = 0 then 'success' when p.task in ('load_customers', 'load_products', 'load_inventory') then 'success'
                                                   when p.task in ('load_orders', 'load_order_items') then 'running' when p.task = 'load_payments' then 'queued' else 'waiting' end
                when r.state = 'failed' then case when p.task in ('load_orders', 'fetch') then 'failed' when p.place >= 2 or p.task = 'load_ratings' then 'upstream_failed' else 'success' end
                when r.state = 'cancelled' then 'cancelled' else 'success' end as state
) s;

insert into sluice.task_edge (run_id, task, needs)
select r.run_id, p.task, need from sluice.dag_run r join planned p using (dag) cross join lateral unnest(p.needs) need;

insert into sluice.attempt (task_run_id, attempt, worker, state, lease_until, queued_at, started_at, finished_at, error_domain, error)
select t.task_run_id, n, 'work-7f3a', case when n < t.attempts then 'timed_out' when t.state = 'cancelled' then 'cancelled' else t.state end,
       now() + interval '30 seconds', t.queued_at, t.started_at + (n - 1) * coalesce((t.finished_at - t.started_at) / 2, interval '1 second'),
       case when n < t.attempts then t.started_at + coalesce((t.finished_at - t.started_at) / 3, interval '1 second') else t.finished_at end,
       case when n < t.attempts then 'external' when t.state = 'failed' and t.task = 'fetch' then 'external' when t.state = 'failed' then 'user' end,
       case when n < t.attempts then 'no answer within 2 s'
            when t.state = 'failed' and t.task = 'fetch' then 'GET http://127.0.0.1:8180/demo/ratings?page=3: connection refused'
            when t.state = 'failed' then 'gate `orders` refused the batch: 3 of 12 checks failed, 1,204 of 9,870 rows (12.2%) over the limit of 5%' end
from sluice.task_run t cross join lateral generate_series(1, t.attempts) n
where t.started_at is not null;

insert into sluice.task_log (attempt_id, seq, at, level, line)
select a.attempt_id, l.n, a.started_at + l.n * interval '180 milliseconds', l.level, l.line
from sluice.attempt a
join sluice.task_run t using (task_run_id)
cross join lateral (values (1, 'info', 'reading raw/shop/orders/date=2026-11-20/run-42-1.parquet'), (2, 'info', '9,870 rows, 1.2 MB'),
    (3, 'info', 'suite orders: 12 checks'), (4, 'warn', 'expect_column_values_to_be_between(quantity): 38 rows of 9,870'),
    (5, 'info', 'copied 9,832 rows into staging.orders'), (6, 'info', 'published: read 9,870 = loaded 9,832 + quarantined 38 + deduplicated 0')) l (n, level, line)
where t.kind in ('load', 'extract_http');

insert into sluice.load_ledger (dataset, batch_id, run_id, task, interval_start, interval_end, suite, suite_hash, verdict, read, loaded, quarantined, deduplicated, published_at)
select 'staging.' || name, t.task_run_id::text, t.run_id, t.task, r.interval_start, r.interval_end, name, 'c0ffee', case when bad > 20 then 'quarantined' when bad > 0 then 'warned' else 'passed' end,
       n, n - bad - bad / 3, bad, bad / 3, t.finished_at
from sluice.task_run t
join sluice.dag_run r using (run_id)
cross join lateral (select substr(t.task, 6) as name, 900 + (hashtext(t.task || t.run_id) & 8191) as n,
    case when t.task in ('load_orders', 'load_payments') then hashtext(t.run_id || t.task) & 63 else 0 end as bad) x
where t.kind = 'load' and t.state = 'success'
order by t.finished_at;

insert into sluice.quarantined_row (load_id, seq, dataset, source_line, row, rules)
select l.load_id, s, l.dataset, s * 37, jsonb_build_object('id', 40000 + s, 'customer_id', null, 'quantity', -s, 'unit_price', 19.9, 'city', 'Köln'),
       case when s % 3 = 0 then array['orders.quantity.between', 'orders.customer_id.not_null'] else array['orders.customer_id.not_null'] end
from sluice.load_ledger l cross join lateral generate_series(1, l.quarantined) s;

insert into sluice.check_result (run_id, task, load_id, suite, suite_hash, check_id, dataset, outcome, on_fail, observed, duration_ms, at)
select l.run_id, l.task, l.load_id, l.suite, l.suite_hash, c.name, l.dataset,
       case when c.n = 2 and l.quarantined > 0 then 'failed' when c.n = 6 and l.dataset = 'staging.inventory' then 'vacuous' else 'passed' end, 'quarantine',
       jsonb_build_object('rows', l.read, 'failed', case when c.n = 2 then l.quarantined else 0 end), 0.4 + c.n, l.published_at
from sluice.load_ledger l
cross join lateral (values (1, 'id.unique'), (2, 'customer_id.not_null'), (3, 'status.in_set'), (4, 'amount.between'), (5, 'row_count.between'), (6, 'email.matches'), (7, 'created_at.not_null')) c (n, name);

insert into sluice.stream_offset (stream, topic, partition, start_offset, committed_offset, end_offset, watermark, counted, deduplicated, late, malformed)
select s, 'shop.' || t, p, 0, 18000 + p * 431, 18000 + p * 431 + case when t = 'clicks' then 1200 * p else p end, now() - make_interval(secs => 3 + p), 17950 + p * 431, 20, 12, 18
from (values ('fraud', 'orders'), ('bots', 'clicks')) x (s, t), generate_series(0, 3) p;

insert into sluice.stream_window (stream, agg, partition, key, window_start, window_end, events, sum, closed)
select 'fraud', a.agg, 0, a.key, w, w + interval '5 seconds', 1 + (hashtext(a.key || w) & 3),
       round(((hashtext(a.key || w || 'x') & 255) * a.weight * (1.2 + sin(extract(epoch from w) / 900)))::numeric / 10, 2), w < now() - interval '20 seconds'
from (values ('orders_total', 'all', 12.0), ('sales_by_product', '17', 3.1), ('sales_by_product', '230', 2.4), ('sales_by_product', '4', 1.9), ('sales_by_product', '88', 1.5),
      ('sales_by_product', '311', 1.1), ('sales_by_product', '12', .4), ('sales_by_category', 'Electronics', 5.0), ('sales_by_category', 'Home & Garden', 3.2), ('sales_by_category', 'Clothing', 2.6),
      ('sales_by_category', 'Toys', 1.4), ('sales_by_category', 'Books', .8), ('card_velocity', 'c_77', 1.0)) a (agg, key, weight)
cross join lateral generate_series(to_timestamp(floor(extract(epoch from now() - interval '2 hours') / 5) * 5), now(), interval '5 seconds') w;

insert into sluice.dead_letter (stream, topic, partition, record_offset, reason, detail, at)
select 'fraud', 'shop.orders', n % 4, 900 + n, case n % 3 when 0 then 'late' else 'malformed' end,
       case n % 3 when 0 then 'event time 14 s behind the watermark, 10 s allowed' else 'expected value at line 1 column ' || n end, now() - n * interval '3 minutes'
from generate_series(1, 9) n;

insert into sluice.alert (dedupe_key, source, rule, severity, key, event_time, raised_at, message, detail, state)
select 'a' || n, v.source, v.rule, v.severity, v.key || n, now() - n * interval '7 minutes', now() - n * interval '7 minutes' + interval '620 milliseconds', v.message, '{}',
       case when n > 8 then 'closed' else 'open' end
from generate_series(24, 1, -1) n
join lateral (values (0, 'stream:fraud', 'card_velocity', 'high', 'c_', '6 orders with one card within 5 s, €412.30 in all'),
    (1, 'stream:bots', 'bot_browsing', 'medium', 'd_', '41 product pages in 5 s from one device'),
    (2, 'stream:fraud', 'high_amount_burst', 'critical', 'c_', '3 orders above €1,500 within 5 s'),
    (3, 'low_stock', 'low_stock', 'low', 'product ', '4 left of "Espresso machine", reorder 60')) v (k, source, rule, severity, key, message) on v.k = n % 4;

insert into sluice.outbox (dedupe_key, channel, alert_id, subject, payload, state, attempts, created_at, delivered_at, location, error)
select 'o' || alert_id, case when severity = 'low' then 'purchasing' else 'fraud_slack' end, alert_id, severity || ': ' || message, '{}',
       case when alert_id > 22 then 'pending' when alert_id = 11 then 'failed' else 'delivered' end, 1, raised_at,
       case when alert_id <= 22 and alert_id <> 11 then raised_at + interval '1 second' end, '.sluice/outbox/slack/' || alert_id || '-card-velocity.json',
       case when alert_id = 11 then 'the webhook answered 503 after 5 tries' end
from sluice.alert
order by alert_id;
insert into sluice.outbox (dedupe_key, channel, subject, payload, state, attempts, created_at, delivered_at, location)
values ('report', 'management', 'SimMart on 20 November: €48,210.77, 1,204 orders', '{}', 'delivered', 1, now() - interval '3 hours', now() - interval '3 hours', '.sluice/outbox/mail/25-simmart.eml');

insert into sluice.worker (worker, role, host, pid, version, slots)
values ('work-7f3a', 'worker', 'localhost', 4242, '0.1.0', 4), ('schedule-11c0', 'scheduler', 'localhost', 4243, '0.1.0', 0), ('stream-019aa7c1e2b97f0b8d3c5e6f708192a3', 'stream', 'localhost', 4244, '0.1.0', 0);
insert into sluice.leader (role, holder, lease_until) values ('scheduler', 'schedule-11c0', now() + interval '20 seconds');

-- A suite that was changed, and the numbers of its batches.
insert into sluice.suite_version (suite, hash, definition, text, seen_at)
select 'orders', v.hash, jsonb_build_object('head', '{"suite": "orders", "description": "Orders as they stand now; the money must add up.", "owner": "data@simmart.example"}'::jsonb,
       'checks', jsonb_build_array(
           '{"id": "id.unique", "expectation": "expect_column_values_to_be_unique", "arguments": {"column": "id", "on_fail": "fail", "description": "An order that is there twice is paid twice."}}'::jsonb,
           jsonb_build_object('id', 'customer_id.not_null', 'expectation', 'expect_column_values_to_not_be_null', 'arguments', jsonb_build_object('column', 'customer_id', 'mostly', v.mostly)),
           '{"id": "status.in_set", "expectation": "expect_column_values_to_be_in_set", "arguments": {"column": "status", "value_set": ["placed", "paid", "shipped", "delivered", "cancelled", "returned"]}}'::jsonb,
           '{"id": "row_count.anomaly", "expectation": "anomaly", "arguments": {"metric": "row_count", "season": "weekday"}}'::jsonb,
           '{"id": "total.mean.anomaly", "expectation": "anomaly", "arguments": {"metric": "mean", "column": "total", "severity": "critical", "description": "Cents for euros would show here first."}}'::jsonb)),
       E'suite: orders\nowner: data@simmart.example\nchecks:\n  - expect_column_values_to_be_unique: { column: id, on_fail: fail }\n  - expect_column_values_to_not_be_null: { column: customer_id, mostly: ' || v.mostly || E' }\n',
       now() - v.days * interval '1 day'
from (values ('beef01', 0.95, 40), ('c0ffee', 0.99, 12)) v (hash, mostly, days);
insert into sluice.suite_change (suite, hash, actor, at) values ('orders', 'beef01', 'ada', now() - interval '40 days'), ('orders', 'c0ffee', 'grace', now() - interval '12 days');

insert into sluice.profile (run_id, task, load_id, suite, dataset, data_at, day, "column", place, metrics)
select case n when 0 then l.run_id else -n end, 'load_orders', case n when 0 then l.load_id end, 'orders', 'staging.orders', at, at, c.name, c.place,
       case c.place
           when 0 then jsonb_build_object('row_count', 1000 + (case extract(isodow from at) when 7 then 240 else 0 end) + (hashtext('r' || n) & 63), 'failed_share', (hashtext('f' || n) & 15) / 1000.0)
           when 1 then jsonb_build_object('type', 'i64', 'nulls', 0, 'null_share', 0, 'distinct', 1040, 'min', 90000, 'max', 91040, 'mean', 90520 + n, 'stdev', 300.2)
           when 2 then jsonb_build_object('type', 'i64', 'nulls', 12, 'null_share', 0.01 + (hashtext('n' || n) & 7) / 1000.0, 'distinct', 640, 'min', 1, 'max', 9987, 'mean', 5010 + (hashtext('c' || n) & 127))
           when 3 then jsonb_build_object('type', 'decimal(12, 2)', 'nulls', 0, 'null_share', 0, 'distinct', 911, 'min', 3.5, 'max', 1490.2, 'mean', case n when 0 then 187.4 else 59.9 + (hashtext('m' || n) & 31) / 10.0 end, 'stdev', 48.1)
           else jsonb_build_object('type', 'str', 'nulls', 0, 'null_share', 0, 'distinct', 6, 'min', 'cancelled', 'max', 'shipped',
                                   'top', '[{"value": "delivered", "count": 702}, {"value": "shipped", "count": 201}, {"value": "paid", "count": 88}]'::jsonb) end
from generate_series(45, 0, -1) n
cross join lateral (select date_trunc('day', now()) - n * interval '1 day' as at) d
cross join (values ('', 0), ('id', 1), ('customer_id', 2), ('total', 3), ('status', 4)) c (name, place)
cross join (select load_id, run_id from sluice.load_ledger where dataset = 'staging.orders' order by load_id desc limit 1) l;

insert into sluice.check_result (run_id, task, load_id, suite, suite_hash, check_id, dataset, outcome, on_fail, observed, duration_ms, at)
select l.run_id, l.task, l.load_id, 'orders', 'c0ffee', c.id, l.dataset, c.outcome, 'warn', c.observed::jsonb, 0.3, l.published_at
from (select * from sluice.load_ledger where dataset = 'staging.orders' order by load_id desc limit 1) l
cross join (values
    ('row_count.anomaly', 'passed', '{"observed_value": 1020, "reason": "row_count 1,020; the median of 12 Fridays is 1,031, MAD 12, limit 9: 0.9 below", "low": 923, "high": 1139}'),
    ('total.mean.anomaly', 'failed', '{"observed_value": 187.4, "reason": "mean of total 187.4; the median of 28 batches is 61.2, MAD 0.7, limit 7.29: 180.3 above", "low": 56.1, "high": 66.3}')) c (id, outcome, observed);
