-- Which service an attempt could not reach, where that ended it.
alter table sluice.attempt add column service text;
