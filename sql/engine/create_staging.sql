drop table if exists {staging}, {out};
create unlogged table {staging} ({columns});
create unlogged table {out} (seq bigint primary key, rules text[]);
