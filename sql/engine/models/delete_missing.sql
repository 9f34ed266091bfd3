-- Rows that the build no longer has.
delete from {target} as t
where not exists (select from {build} as b where {match})
