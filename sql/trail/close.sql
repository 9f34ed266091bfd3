-- Takes away runs that are told to their end, but for those that have gone on meanwhile.
delete from sluice.trail_run t
using unnest($2::bigint[], $3::int[]) as n(run_id, touched)
where t.sink = $1 and t.run_id = n.run_id and t.touched = n.touched;
