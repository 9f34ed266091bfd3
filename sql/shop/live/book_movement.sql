-- One change of stock while the shop lives: product, center, kind, signed quantity, order or null, when.
insert into inventory_movements (product_id, distribution_center_id, kind, quantity, order_id, occurred_at)
values (?, ?, ?, ?, ?, ?)
