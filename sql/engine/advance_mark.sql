insert into sluice.high_water_mark (dag, task, connection, source, cursor_column, target, cursor, key, load_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (dag, task, connection, source, cursor_column, target) do update
set cursor = excluded.cursor, key = excluded.key, load_id = excluded.load_id, updated_at = now()
