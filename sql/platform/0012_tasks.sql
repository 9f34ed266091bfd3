-- What a task's rules ask of the queue.

-- Whether a task runs though its run is cancelled: `TriggerRule::survives_cancel`.
create function sluice.survives_cancel(trigger_rule text) returns boolean
    language sql immutable parallel safe
    return trigger_rule in ('always', 'teardown');
