-- What a user's own query may ask the session for, until the transaction ends.
select set_config('TimeZone', 'UTC', true),
       set_config('sluice.timezone', $1, true),
       set_config('sluice.interval_start', $2, true),
       set_config('sluice.interval_end', $3, true),
       set_config('sluice.params', $4, true)
