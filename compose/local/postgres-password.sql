alter role sluice password '{password}';

