-- Who buys.

-- One row a customer account. An e-mail address is not unique: people forget that they have an account.
create table if not exists customers (
    id               bigint unsigned not null auto_increment primary key,
    customer_number  varchar(24) not null,
    email            varchar(190) not null,
    first_name       varchar(80) not null,
    last_name        varchar(80) not null,
    phone            varchar(40) null,
    gender           enum ('female', 'male', 'diverse', 'unknown') not null default 'unknown',
    birth_date       date null,
    age              smallint as (timestampdiff(year, birth_date, curdate())) virtual,
    occupation       varchar(80) null,
    street           varchar(120) not null,
    postal_code      varchar(16) not null,
    city             varchar(80) not null,
    region           varchar(80) not null,
    country_code     varchar(8) not null,
    newsletter       tinyint(1) not null default 0,
    registered_at    datetime(6) not null,
    created_at       datetime(6) not null default current_timestamp(6),
    updated_at       datetime(6) not null default current_timestamp(6) on update current_timestamp(6),
    unique key customers_number (customer_number),
    key customers_email (email),
    key customers_updated (updated_at, id)
) engine = InnoDB default charset = utf8mb4;
