insert into sluice.suite_version (suite, hash, definition, text) values ($1, $2, $3, $4) on conflict do nothing
