-- The newest numbers that runs and attempts were given, whether or not their rows can be seen yet.
select (select case when is_called then last_value else 0 end from sluice.dag_run_run_id_seq) as run,
       (select case when is_called then last_value else 0 end from sluice.attempt_attempt_id_seq) as attempt;
