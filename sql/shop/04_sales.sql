-- What was bought, paid and sent.

-- One row an order. total = subtotal - discount + shipping_fee; subtotal = the sum of its lines' line_total.
create table if not exists orders (
    id               bigint unsigned not null auto_increment primary key,
    order_number     varchar(24) not null,
    customer_id      bigint unsigned not null,
    status           enum ('placed', 'paid', 'shipped', 'delivered', 'cancelled', 'returned') not null,
    channel          enum ('web', 'app', 'phone') not null default 'web',
    ordered_at       datetime(6) not null,
    currency         char(3) not null default 'EUR',
    subtotal         decimal(12, 2) not null,
    discount         decimal(12, 2) not null default 0,
    shipping_fee     decimal(12, 2) not null default 0,
    total            decimal(12, 2) not null,
    ship_postal_code varchar(16) not null,
    ship_city        varchar(80) not null,
    ship_region      varchar(80) not null,
    ship_country     varchar(8) not null,
    created_at       datetime(6) not null default current_timestamp(6),
    updated_at       datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key orders_number (order_number),
    key orders_customer (customer_id, ordered_at),
    key orders_ordered (ordered_at),
    key orders_updated (updated_at, id),
    constraint orders_customer foreign key (customer_id) references customers (id)
) engine = InnoDB default charset = utf8mb4;

-- One row a line of an order. line_total = quantity * unit_price. What came back is in returned_quantity.
create table if not exists order_items (
    id                 bigint unsigned not null auto_increment primary key,
    order_id           bigint unsigned not null,
    line_number        smallint unsigned not null,
    product_id         bigint unsigned not null,
    quantity           int not null,
    unit_price         decimal(12, 2) not null,
    line_total         decimal(12, 2) not null,
    returned_quantity  int not null default 0,
    created_at         datetime(6) not null default current_timestamp(6),
    updated_at         datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key order_items_line (order_id, line_number),
    key order_items_product (product_id),
    key order_items_updated (updated_at, id),
    constraint order_items_order foreign key (order_id) references orders (id),
    constraint order_items_product foreign key (product_id) references products (id)
) engine = InnoDB default charset = utf8mb4;

-- One row an attempt to move money: charges and refunds, both with amounts above zero.
create table if not exists payments (
    id          bigint unsigned not null auto_increment primary key,
    order_id    bigint unsigned not null,
    kind        enum ('charge', 'refund') not null,
    method      enum ('card', 'paypal', 'invoice', 'bank_transfer') not null,
    status      enum ('approved', 'declined', 'pending') not null,
    amount      decimal(12, 2) not null,
    currency    char(3) not null default 'EUR',
    card_token  varchar(40) null,
    paid_at     datetime(6) not null,
    created_at  datetime(6) not null default current_timestamp(6),
    updated_at  datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    key payments_order (order_id),
    key payments_paid (paid_at),
    key payments_updated (updated_at, id),
    constraint payments_order foreign key (order_id) references orders (id)
) engine = InnoDB default charset = utf8mb4;

-- One row a parcel.
create table if not exists shipments (
    id                      bigint unsigned not null auto_increment primary key,
    order_id                bigint unsigned not null,
    shipper_id              bigint unsigned not null,
    distribution_center_id  bigint unsigned not null,
    tracking_number         varchar(40) not null,
    status                  enum ('packed', 'in_transit', 'delivered', 'returned') not null,
    cost                    decimal(12, 2) not null,
    shipped_at              datetime(6) not null,
    delivered_at            datetime(6) null,
    created_at              datetime(6) not null default current_timestamp(6),
    updated_at              datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key shipments_tracking (tracking_number),
    key shipments_order (order_id),
    key shipments_shipper (shipper_id),
    key shipments_center (distribution_center_id),
    key shipments_updated (updated_at, id),
    constraint shipments_order foreign key (order_id) references orders (id),
    constraint shipments_shipper foreign key (shipper_id) references shippers (id),
    constraint shipments_center foreign key (distribution_center_id) references distribution_centers (id)
) engine = InnoDB default charset = utf8mb4;

-- One row a change of stock; quantity is signed, so the sum of a place's movements is its stock.
create table if not exists inventory_movements (
    id                      bigint unsigned not null auto_increment primary key,
    product_id              bigint unsigned not null,
    distribution_center_id  bigint unsigned not null,
    kind                    enum ('opening', 'receipt', 'sale', 'return', 'adjustment') not null,
    quantity                int not null,
    order_id                bigint unsigned null,
    occurred_at             datetime(6) not null,
    created_at              datetime(6) not null default current_timestamp(6),
    updated_at              datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    key inventory_movements_place (product_id, distribution_center_id, occurred_at),
    key inventory_movements_center (distribution_center_id),
    key inventory_movements_order (order_id),
    key inventory_movements_updated (updated_at, id),
    constraint inventory_movements_product foreign key (product_id) references products (id),
    constraint inventory_movements_center foreign key (distribution_center_id) references distribution_centers (id),
    constraint inventory_movements_order foreign key (order_id) references orders (id)
) engine = InnoDB default charset = utf8mb4;
