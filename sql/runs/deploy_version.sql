insert into sluice.dag_version (dag, version, plan) values ($1, $2, $3) on conflict do nothing;
