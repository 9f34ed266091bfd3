-- What load $1 was asked for, and the last load that was published into its dataset since: replays of older rows aside.
select l.run_id, l.task, l.interval_start, l.interval_end, l.suite, l.terms,
       (select max(s.load_id)
        from sluice.load_ledger s
        where s.dataset = l.dataset and s.load_id > l.load_id and s.verdict <> 'failed'
          and coalesce(s.replay_of, s.load_id) > l.load_id) as since
from sluice.load_ledger l
where l.load_id = $1
