-- $1: since when. Milliseconds from the violating event's arrival in Kafka to the alert's commit.
select
    percentile_cont(0.5) within group (order by (detail ->> 'latency_ms')::float8) as p50,
    percentile_cont(0.99) within group (order by (detail ->> 'latency_ms')::float8) as p99
from sluice.alert
where source like 'stream:%' and raised_at >= $1 and detail ? 'latency_ms'
