-- Those of an earlier attempt at the same load, or, without one, at the same task of the run.
delete from sluice.profile
where case when $3::bigint is null then run_id = $1 and task = $2 and load_id is null else load_id = $3 end
  and suite = $4 and dataset = $5
