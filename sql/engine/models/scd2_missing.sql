-- Ends the open version of members that the build does not name.
update {target} as t
set valid_to = now()
where t.valid_to is null and not t.is_inferred
  and not exists (select from {build} as b where {match})
