update sluice.trail set failing_since = coalesce(failing_since, clock_timestamp()), error = $2 where sink = $1;
