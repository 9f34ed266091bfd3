-- Tasks that are mapped over a list, and tasks that look again.

-- A mapped task has a row of its own and one for each item of its list, which names it as `parent` and stands at `place` of
-- the list, from 0. `mapped` is the length of the list: null until it is known, and again once the task runs anew; rows of
-- an earlier list then stay for their attempts' sake, and count for nothing. While its items are under way the task waits,
-- and its `needs_…` count them.
--
-- `looks` is how often a task has looked in vain for what it waits for.
alter table sluice.task_run
    add column parent text,
    add column place  int,
    add column item   jsonb,
    add column mapped int,
    add column looks  int not null default 0;
