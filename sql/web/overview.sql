-- What the overview counts: runs and gates of the last 24 hours, what waits, who works.
select (select count(*) from sluice.runs where created_at > now() - interval '1 day') as runs,
       (select count(*) from sluice.runs where created_at > now() - interval '1 day' and state = 'failed') as failed,
       (select count(*) from sluice.runs where state = 'running') as running,
       (select count(*) from sluice.tasks where state = 'queued') as queued,
       (select count(*) from sluice.processes where stopped_at is null and seen_at > now() - interval '1 minute') as processes,
       (select coalesce(sum(loaded), 0)::bigint from sluice.loads where published_at > now() - interval '1 day') as rows_loaded,
       (select coalesce(sum(quarantined), 0)::bigint from sluice.loads where replay_of is null and published_at > now() - interval '1 day') as rows_quarantined,
       (select count(*) from sluice.deliveries where state in ('pending', 'sending')) as pending_deliveries,
       (select coalesce(sum(lag), 0)::bigint from sluice.stream_progress) as stream_lag
