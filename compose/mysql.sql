-- Extraction asks for the oldest open transaction, so that it never passes a row that is not committed yet.
GRANT PROCESS ON *.* TO 'sluice'@'%';
