select v.version, v.created_at, d.version is not distinct from v.version as current,
       (select count(*) from sluice.every_dag_run r where r.dag = v.dag and r.version = v.version) as runs
from sluice.dag_version v
left join sluice.dag d on d.dag = v.dag and d.retired_at is null
where v.dag = $1
order by v.created_at desc, v.version;
