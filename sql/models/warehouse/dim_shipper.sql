select id::bigint as shipper_id, code, name
from staging.shippers
