update sluice.worker set queues = $2, kinds = $3, labels = $4 where worker = $1;
