create role sluice login;

create database sluice owner sluice;

