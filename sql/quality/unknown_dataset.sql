-- What was ever loaded into, where nothing was into $1; null where something was.
select case when not exists (select from sluice.load_ledger where dataset = $1)
            then array(select distinct dataset from sluice.load_ledger order by dataset) end;
