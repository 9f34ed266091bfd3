-- Sixteen days of sales in a shop of four products, the marts built from them, and what the platform saw.
insert into warehouse.dim_date
select to_char(day, 'YYYYMMDD')::int, day::date, extract(year from day), extract(quarter from day),
       extract(month from day), to_char(day, 'FMMonth'), extract(isoyear from day), extract(week from day),
       extract(day from day), extract(isodow from day), to_char(day, 'FMDay'), extract(isodow from day) > 5
from generate_series('2026-02-01'::date, '2026-03-10'::date, interval '1 day') as day
on conflict do nothing;
insert into warehouse.dim_customer (customer_key, customer_id, valid_from)
select n, n, '2020-01-01' from generate_series(1, 200) as n;
insert into warehouse.dim_product (product_key, product_id, sku, name, category, department, supplier, price, cost, valid_from)
values (1, 1, 'SM-000001', 'Nordlicht Kettle Pro', 'Kitchen', 'Home', 'A', 40, 20, '2020-01-01'),
       (2, 2, 'SM-000002', 'Fjell Tent Duo', 'Outdoor', 'Sports', 'A', 180, 90, '2020-01-01'),
       (3, 3, 'SM-000003', 'Lumen Headphones Max', 'Audio', 'Electronics', 'B', 220, 130, '2020-01-01'),
       (4, 4, 'SM-000004', 'Zirbe Espresso Beans', 'Coffee & Tea', 'Grocery', 'B', 12, 5, '2020-01-01');
insert into warehouse.fact_order_lines
select row_number() over (), row_number() over (), null, 1, d.date_key, 1 + (n * 7 + d.day_of_month) % 200, 1 + n % 4,
       0, 0, d.date + interval '12 hours', case when n % 23 = 0 then 'cancelled' else 'delivered' end, 'web', 1 + n % 2,
       p.price, (1 + n % 2) * p.price, (1 + n % 2) * p.cost, 0, case when n % 31 = 0 then p.price else 0 end
from warehouse.dim_date as d
cross join generate_series(1, 160) as n
join warehouse.dim_product as p on p.product_key = 1 + n % 4
where d.date between '2026-02-12' and '2026-03-01'
  and n <= 60 + (d.day_of_month * 37) % 90 + case when d.is_weekend then 10 else 0 end;
insert into sluice.load_ledger (dataset, batch_id, interval_start, interval_end, verdict, read, loaded, quarantined,
                                deduplicated, published_at)
values ('staging.customers', 'a', '2026-03-01', '2026-03-02', 'quarantined', 10000, 9890, 98, 12, '2026-03-01 23:00+00'),
       ('staging.orders', 'a', '2026-03-01', '2026-03-02', 'quarantined', 4110, 4070, 40, 0, '2026-03-01 23:00+00'),
       ('staging.products', 'a', '2026-03-01', '2026-03-02', 'passed', 500, 500, 0, 0, '2026-03-01 23:00+00');
insert into sluice.quarantined_row (load_id, seq, dataset, row, rules)
select load_id, n, dataset, '{}', array[case when n % 3 = 0 then 'email_is_valid' else 'country_code_is_known' end]
from sluice.load_ledger, generate_series(1, 40) as n
where quarantined >= 40;
insert into sluice.alert (dedupe_key, source, rule, severity, key, event_time, message)
select 'a' || n, 'fraud', case when n % 2 = 0 then 'card_velocity' else 'high_amount' end,
       case when n % 2 = 0 then 'high' else 'critical' end, 'c_' || n, now(), '17 orders in 5 s on card c_' || n
from generate_series(1, 9) as n;
insert into sluice.alert (dedupe_key, source, rule, severity, key, event_time, message, state)
values ('closed', 'fraud', 'bot_browsing', 'low', 's_1', now(), 'long over', 'closed');
