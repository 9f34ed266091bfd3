-- What the shop sells. Times are UTC; every table carries `updated_at` in microseconds, which is what
-- incremental extraction reads. Business rules (a price above zero, a known e-mail) are the application's
-- task in this shop, as in many: the schema keeps keys and references whole, the quality gates watch the rest.

-- One row a category; top-level ones have no parent.
create table if not exists categories (
    id          bigint unsigned not null auto_increment primary key,
    parent_id   bigint unsigned null,
    name        varchar(80) not null,
    slug        varchar(80) not null,
    created_at  datetime(6) not null default current_timestamp(6),
    updated_at  datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key categories_slug (slug),
    key categories_updated (updated_at, id),
    constraint categories_parent foreign key (parent_id) references categories (id)
) engine = InnoDB default charset = utf8mb4;

-- One row a company that the shop buys from.
create table if not exists suppliers (
    id              bigint unsigned not null auto_increment primary key,
    name            varchar(120) not null,
    email           varchar(190) not null,
    phone           varchar(40) not null,
    city            varchar(80) not null,
    country_code    varchar(8) not null,
    lead_time_days  smallint unsigned not null,
    created_at      datetime(6) not null default current_timestamp(6),
    updated_at      datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key suppliers_name (name),
    key suppliers_updated (updated_at, id)
) engine = InnoDB default charset = utf8mb4;

-- One row a product, with its price and cost of today; product_prices has the prices before.
create table if not exists products (
    id            bigint unsigned not null auto_increment primary key,
    sku           varchar(24) not null,
    name          varchar(160) not null,
    category_id   bigint unsigned not null,
    supplier_id   bigint unsigned not null,
    price         decimal(12, 2) not null,
    cost          decimal(12, 2) not null,
    currency      char(3) not null default 'EUR',
    weight_grams  int unsigned not null,
    attributes    json not null,
    active        tinyint(1) not null default 1,
    created_at    datetime(6) not null default current_timestamp(6),
    updated_at    datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key products_sku (sku),
    key products_category (category_id),
    key products_supplier (supplier_id),
    key products_updated (updated_at, id),
    constraint products_category foreign key (category_id) references categories (id),
    constraint products_supplier foreign key (supplier_id) references suppliers (id)
) engine = InnoDB default charset = utf8mb4;

-- One row a product and instant at which its price changed; the price holds until the next row.
create table if not exists product_prices (
    id          bigint unsigned not null auto_increment primary key,
    product_id  bigint unsigned not null,
    price       decimal(12, 2) not null,
    valid_from  datetime(6) not null,
    created_at  datetime(6) not null default current_timestamp(6),
    updated_at  datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key product_prices_from (product_id, valid_from),
    key product_prices_updated (updated_at, id),
    constraint product_prices_product foreign key (product_id) references products (id)
) engine = InnoDB default charset = utf8mb4;
