alter role sluice superuser;

