with recursive tree as (
    select id::bigint as category_id, name as category, name as department
    from staging.categories
    where parent_id is null
    union all
    select child.id::bigint, child.name, tree.department
    from staging.categories as child
    join tree on child.parent_id = tree.category_id
)
select category_id, category, department
from tree
