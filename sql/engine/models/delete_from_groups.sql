-- Rows that the build no longer has, of the groups that it has.
delete from {target} as t
where exists (select from {build} as g where {groups})
  and not exists (select from {build} as b where {match})
