-- Names for the products that seed.sql sells.
create schema staging;
create table staging.products (id bigint primary key, name text not null);
insert into staging.products values (17, 'Noise-cancelling headphones'), (230, 'Espresso machine'), (4, 'Trail running shoes'), (88, 'Garden lounge set'), (311, 'Wooden train set');
