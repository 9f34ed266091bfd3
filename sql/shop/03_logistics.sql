-- Where goods lie and who carries them.

-- One row a warehouse building.
create table if not exists distribution_centers (
    id            bigint unsigned not null auto_increment primary key,
    code          varchar(16) not null,
    name          varchar(80) not null,
    city          varchar(80) not null,
    region        varchar(80) not null,
    country_code  varchar(8) not null,
    latitude      decimal(9, 6) not null,
    longitude     decimal(9, 6) not null,
    created_at    datetime(6) not null default current_timestamp(6),
    updated_at    datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key distribution_centers_code (code),
    key distribution_centers_updated (updated_at, id)
) engine = InnoDB default charset = utf8mb4;

-- One row a carrier.
create table if not exists shippers (
    id            bigint unsigned not null auto_increment primary key,
    code          varchar(16) not null,
    name          varchar(80) not null,
    phone         varchar(40) not null,
    tracking_url  varchar(190) not null,
    created_at    datetime(6) not null default current_timestamp(6),
    updated_at    datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key shippers_code (code),
    key shippers_updated (updated_at, id)
) engine = InnoDB default charset = utf8mb4;

-- One row a product and distribution center: the stock of now.
create table if not exists inventory (
    id                      bigint unsigned not null auto_increment primary key,
    product_id              bigint unsigned not null,
    distribution_center_id  bigint unsigned not null,
    on_hand                 int not null,
    reorder_point           int unsigned not null,
    reorder_quantity        int unsigned not null,
    created_at              datetime(6) not null default current_timestamp(6),
    updated_at              datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key inventory_place (product_id, distribution_center_id),
    key inventory_center (distribution_center_id),
    key inventory_updated (updated_at, id),
    constraint inventory_product foreign key (product_id) references products (id),
    constraint inventory_center foreign key (distribution_center_id) references distribution_centers (id)
) engine = InnoDB default charset = utf8mb4;
