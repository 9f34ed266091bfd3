-- Rows $2, numbered $1, as a person wrote them; without their keys $3, which are no values of their columns.
insert into {staging} (_sluice_seq{columns})
select w.seq{values}
from unnest($1::bigint[], $2::text[], $3::jsonb[]) w (seq, text, bad)
cross join lateral (
    select w.text::jsonb - array(select jsonb_array_elements_text(w.bad)) as row
) r
