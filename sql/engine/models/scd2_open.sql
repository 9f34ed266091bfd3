-- Open versions of known members.
select count(*) from {target} where valid_to is null and not is_inferred
