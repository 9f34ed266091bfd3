-- Files of the lake that hold outputs of the runs made between $1 and $2, and that no other run's task points to.
select distinct t.output -> '$output' ->> 'path' as path
from sluice_archive.task_run t
where t.run_created_at >= $1 and t.run_created_at < $2 and t.output ? '$output'
  and not exists (
      select from sluice.task_run o where o.output ? '$output' and o.output -> '$output' ->> 'path' = t.output -> '$output' ->> 'path')
  and not exists (
      select from sluice_archive.task_run o
      where o.output ? '$output' and o.run_created_at >= $2
        and o.output -> '$output' ->> 'path' = t.output -> '$output' ->> 'path')
