-- Ends an attempt that went well and claims the next task: see 0007_hand_over.sql.
select done, attempt_id, token, attempt, max_attempts, run_id, task_run_id, task, kind, dag, version, logical_time,
       interval_start, interval_end, params, first, inputs
from sluice.hand_over($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);
