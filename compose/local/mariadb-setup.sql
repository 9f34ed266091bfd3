create database if not exists shop;
create user if not exists 'sluice'@'127.0.0.1';
alter user 'sluice'@'127.0.0.1' identified by '{password}';
grant all privileges on shop.* to 'sluice'@'127.0.0.1';
grant process on *.* to 'sluice'@'127.0.0.1';
