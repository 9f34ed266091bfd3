update sluice.worker set queues = $2, kinds = $3 where worker = $1;
