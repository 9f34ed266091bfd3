select distinct country
from staging.invoice_lines
