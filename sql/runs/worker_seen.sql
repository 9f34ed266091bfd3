insert into sluice.worker as w (worker, role, host, pid, version, slots) values ($1, $2, $3, $4, $5, $6)
on conflict (worker) do update set seen_at = now(), stopped_at = null;
