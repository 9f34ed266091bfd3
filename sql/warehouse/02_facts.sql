-- The facts. A day is a day in the shop's time zone; an instant is in UTC.

-- One row per line of an order. revenue = quantity * unit_price, whatever became of the order later.
create table if not exists warehouse.fact_order_lines (
    order_item_id      bigint primary key,
    order_id           bigint not null,
    order_number       text,
    line_number        int not null,
    date_key           int not null references warehouse.dim_date,
    customer_key       bigint not null references warehouse.dim_customer,
    product_key        bigint not null references warehouse.dim_product,
    location_key       bigint not null references warehouse.dim_location,
    shipper_key        bigint not null references warehouse.dim_shipper,
    ordered_at         timestamptz not null,
    order_status       text not null,
    channel            text not null,
    quantity           int not null,
    unit_price         numeric(12, 2) not null,
    revenue            numeric(12, 2) not null,
    cost               numeric(12, 2),
    returned_quantity  int not null,
    returned_revenue   numeric(12, 2) not null
);

-- One row per attempt to move money. net_amount is what the shop gained by it: negative for refunds, 0 where it
-- was declined or is pending.
create table if not exists warehouse.fact_payments (
    payment_id    bigint primary key,
    order_id      bigint not null,
    date_key      int not null references warehouse.dim_date,
    customer_key  bigint not null references warehouse.dim_customer,
    paid_at       timestamptz not null,
    kind          text not null,
    method        text not null,
    status        text not null,
    amount        numeric(12, 2) not null,
    net_amount    numeric(12, 2) not null
);

-- One row per product, distribution center and day: the stock when the day ended.
create table if not exists warehouse.fact_inventory_daily (
    date_key                int not null references warehouse.dim_date,
    product_id              bigint not null,
    distribution_center_id  bigint not null,
    product_key             bigint not null references warehouse.dim_product,
    location_key            bigint not null references warehouse.dim_location,
    on_hand                 bigint not null,
    received                bigint not null,
    sold                    bigint not null,
    returned                bigint not null,
    stock_value             numeric(12, 2),
    primary key (date_key, product_id, distribution_center_id)
);

-- One row per stream, aggregate and hour: what the stream counted, and the sum of the aggregate's amount.
create table if not exists warehouse.fact_events_hourly (
    stream     text not null,
    aggregate  text not null,
    hour       timestamptz not null,
    date_key   int not null references warehouse.dim_date,
    events     bigint not null,
    keys       bigint not null,
    amount     numeric(12, 2) not null,
    primary key (stream, aggregate, hour)
);
