-- Of suite $1 the newest result of each check on each dataset, with the outcomes before it, oldest first. Out of its latest $2
-- results.
with recent as (
    select * from sluice.check_results where suite = $1 order by at desc, result_id desc limit $2
), numbered as (
    select *, row_number() over (partition by dataset, check_id order by result_id desc) as age from recent
)
select n.result_id, n.dataset, n.check_id, n.run_id, n.task, n.load_id, n.suite_hash, n.outcome, n.on_fail, n.observed, n.duration_ms, n.at,
       (select array_agg(o.outcome order by o.result_id)
        from numbered o
        where o.dataset = n.dataset and o.check_id = n.check_id and o.age <= 30) as history
from numbered n
where n.age = 1
order by n.dataset, n.result_id
