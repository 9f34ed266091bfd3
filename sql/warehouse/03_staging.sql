-- Staging tables that models read before anything has been loaded into them: other pipelines fill them.

-- One row per product: its rating as the ratings service last said it.
create table if not exists staging.ratings (
    product_id  bigint primary key,
    rating      double precision,
    reviews     bigint,
    at          timestamptz
);
