do $$
begin
    -- `create schema if not exists` races with itself.
    if to_regnamespace('sluice_staging') is null then
        perform pg_advisory_xact_lock(hashtext('sluice.schema'));
        create schema if not exists sluice_staging;
    end if;
end
$$;
