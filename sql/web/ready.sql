-- The newest migration that has been applied whole.
select max(version) from sluice._sqlx_migrations where success
