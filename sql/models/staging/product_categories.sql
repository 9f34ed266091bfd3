with recursive tree as (
    select id::bigint as category_id, name as category, name as department, updated_at
    from staging.categories
    where parent_id is null
    union all
    select child.id::bigint, child.name, tree.department, greatest(child.updated_at, tree.updated_at)
    from staging.categories as child
    join tree on child.parent_id = tree.category_id
)
select category_id, category, department, updated_at
from tree
