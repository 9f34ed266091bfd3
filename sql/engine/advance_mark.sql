insert into sluice.high_water_mark (name, cursor, key, load_id)
values ($1, $2, $3, $4)
on conflict (name) do update
set cursor = excluded.cursor, key = excluded.key, load_id = excluded.load_id, updated_at = now()
