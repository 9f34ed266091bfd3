-- The sink $1 has come from ($2, $3) to ($4, $5), unless somebody else has brought it further. $6 more were refused.
update sluice.trail
set last_run = $4, last_attempt = $5, told_at = case when $7 then clock_timestamp() else told_at end,
    failing_since = null, error = null, refused = refused + $6
where sink = $1 and last_run = $2 and last_attempt = $3;
