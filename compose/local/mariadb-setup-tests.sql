grant all privileges on *.* to 'sluice'@'127.0.0.1' with grant option;
