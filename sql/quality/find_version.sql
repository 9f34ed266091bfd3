select hash, definition, text
from sluice.suite_version
where suite = $1 and $2 <> '' and starts_with(hash, $2)
limit 2
