-- The rows of cases.rs.
create table public.cases (
    id bigint, quantity int, unit_price numeric(12,2), line_total numeric(12,2), code text, city varchar(20),
    weight double precision, paid boolean, day date, at timestamp, nothing bigint
);
insert into public.cases values
    (1, 1, 1.50, 1.50, 'A1', 'Bonn', 0.5, true, '2024-01-01', '2024-01-01 00:00:00', null),
    (2, 2, 0.01, 0.02, 'B22', 'Köln', 1.5, false, '2024-01-02', '2024-01-01 00:00:00.000001', null),
    (3, -3, 2.00, -6.00, 'b3', 'bonn', 'NaN', null, '2024-01-03', '2024-01-02 00:00:00', null),
    (4, 0, null, 0.00, '', 'Bonn ', null, true, '2024-01-04', null, null),
    (5, null, 9.99, null, null, null, 2.0, true, null, null, null),
    (5, 100, 0.10, 10.01, 'Ü%x', 'Bonn', -0.25, false, '2024-01-06', '1970-01-01 00:00:00', null);
