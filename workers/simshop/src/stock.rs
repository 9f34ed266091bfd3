//! What lies on the shelves: every order takes from them, suppliers fill them up again some days after purchasing
//! ordered, and what comes back is put back.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;

use crate::{
    Shop,
    draw::{Stream, rng},
    faults::{Fault, Table, of},
    orders::Sale,
    places::CENTERS,
    row::{Row, Truth, Value},
};

/// Share of a product's demand that each distribution center serves, about; larger ones keep more.
const CENTER_SHARES: [f64; 4] = [0.42, 0.30, 0.17, 0.11];

/// How far ahead purchasing orders beyond the demand that it expects until the goods arrive, in standard deviations
/// of that demand: the rest run low.
const AHEAD: f64 = 2.0;

/// A row of `inventory_movements`.
#[derive(Debug, Clone)]
pub struct Movement {
    id: u64,
    product_id: u64,
    center: usize,
    kind: &'static str,
    quantity: i64,
    order_id: Option<u64>,
    at: DateTime<Utc>,
}

/// A row of `inventory`.
#[derive(Debug, Clone)]
pub struct Stock {
    id: u64,
    product_id: u64,
    center: usize,
    on_hand: i64,
    reorder_point: i64,
    reorder_quantity: i64,
    /// Purchasing orders at this level already, so that most goods arrive before the shelf is down to its reorder
    /// point.
    order_at: i64,
    opened_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// When an order to the supplier arrives, if one is under way.
    arrives_at: Option<DateTime<Utc>>,
    lead_time: TimeDelta,
    fault: Option<Fault>,
}

impl Stock {
    /// The label of what is wrong with the row on purpose.
    pub fn truth(&self, seed: u64) -> Option<Truth> {
        Some(Truth::dirty("inventory", self.id, self.fault?.label(), seed))
    }
}

/// By arrival and order: product, center and pieces.
type Returns = BTreeMap<(DateTime<Utc>, u64), Vec<(u64, usize, i64)>>;

/// Follows the shelves through the past. Feed it every sale in order of time.
pub struct StockKeeper {
    stock: Vec<Stock>,
    /// Goods on their way back, by when they arrive.
    returns: Returns,
    until: DateTime<Utc>,
    next_id: u64,
}

impl Shop {
    /// The shelves on the first day of the past, and the movements that filled them.
    #[expect(clippy::cast_possible_truncation, reason = "stock is small")]
    pub fn stock_keeper(&self) -> (StockKeeper, Vec<Movement>) {
        let settings = self.settings();
        let pieces_per_day = settings.orders() as f64 / f64::from(settings.days.max(1)) * 2.6;
        let total = self.0.popularity.total();
        let opened_at = settings.start() - TimeDelta::days(1);
        let mut stock = Vec::with_capacity(self.products().len() * CENTERS.len());
        for product in self.products() {
            let weight = self.0.popularity.weight(product.id as usize - 1) / total;
            for (center, share) in CENTER_SHARES.iter().enumerate() {
                let id = stock.len() as u64 + 1;
                let mut rng = rng(settings.seed, Stream::Stock, id);
                let lead_days = rng.random_range(2..9);
                let per_day = pieces_per_day * weight * share;
                let reorder_point = (per_day * (f64::from(lead_days) + 3.0)).ceil() as i64 + 2;
                let reorder_quantity = (per_day * 21.0).ceil() as i64 + 6;
                let in_lead_time = per_day * (f64::from(lead_days) + 0.5);
                let order_at = reorder_point + (in_lead_time + AHEAD * in_lead_time.sqrt()).ceil() as i64 + 1;
                stock.push(Stock {
                    id,
                    product_id: product.id,
                    center,
                    on_hand: order_at + rng.random_range(1..=reorder_quantity),
                    reorder_point,
                    reorder_quantity,
                    order_at,
                    opened_at,
                    updated_at: opened_at,
                    arrives_at: None,
                    lead_time: TimeDelta::minutes(i64::from(lead_days) * 1440 + rng.random_range(0..600)),
                    fault: of(settings.seed, settings.dirty_rate, Table::Inventory, id),
                });
            }
        }
        let mut keeper = StockKeeper { stock, returns: BTreeMap::new(), until: settings.until, next_id: 1 };
        let opening = (0..keeper.stock.len())
            .map(|place| {
                let Stock { product_id, center, on_hand, .. } = keeper.stock[place];
                keeper.movement(product_id, center, "opening", on_hand, None, opened_at)
            })
            .collect();
        (keeper, opening)
    }
}

impl StockKeeper {
    /// Appends what `sale` moves to `out`, and what arrived before it.
    pub fn apply(&mut self, sale: &Sale, out: &mut Vec<Movement>) {
        let at = sale.order.ordered_at;
        self.put_back(at, out);
        if sale.order.status == "cancelled" {
            return;
        }
        for item in &sale.items {
            let place = Self::place(item.product_id, sale.center);
            self.receive(place, at, out);
            let Some(stock) = self.stock.get_mut(place) else { continue };
            if stock.on_hand < item.quantity {
                // Nobody is turned away: an express delivery comes first.
                stock.arrives_at = Some(at);
                self.receive(place, at, out);
            }
            let Some(stock) = self.stock.get_mut(place) else { continue };
            stock.on_hand -= item.quantity;
            stock.updated_at = at;
            if stock.on_hand <= stock.order_at && stock.arrives_at.is_none() {
                stock.arrives_at = Some(at + stock.lead_time);
            }
            out.push(self.movement(item.product_id, sale.center, "sale", -item.quantity, Some(sale.order.id), at));
        }
        if let Some(back) = sale.returned_at {
            let goods = sale.items.iter().filter(|item| item.returned > 0);
            let goods = goods.map(|item| (item.product_id, sale.center, item.returned)).collect();
            self.returns.insert((back, sale.order.id), goods);
        }
    }

    /// Appends what arrives between the last sale and the end of the past, and gives the shelves as they are then.
    pub fn close(mut self, out: &mut Vec<Movement>) -> Vec<Stock> {
        let until = self.until;
        self.put_back(until, out);
        for place in 0..self.stock.len() {
            self.receive(place, until, out);
        }
        self.stock
    }

    fn put_back(&mut self, at: DateTime<Utc>, out: &mut Vec<Movement>) {
        while let Some(entry) = self.returns.first_entry() {
            let &(back, order_id) = entry.key();
            if back > at {
                break;
            }
            for (product_id, center, quantity) in entry.remove() {
                if let Some(stock) = self.stock.get_mut(Self::place(product_id, center)) {
                    stock.on_hand += quantity;
                    stock.updated_at = back;
                    out.push(self.movement(product_id, center, "return", quantity, Some(order_id), back));
                }
            }
        }
    }

    fn receive(&mut self, place: usize, at: DateTime<Utc>, out: &mut Vec<Movement>) {
        let Some(stock) = self.stock.get_mut(place) else { return };
        let Some(arrived) = stock.arrives_at.filter(|arrives| *arrives <= at) else { return };
        stock.arrives_at = None;
        stock.on_hand += stock.reorder_quantity;
        stock.updated_at = arrived;
        let Stock { product_id, center, reorder_quantity, .. } = *stock;
        out.push(self.movement(product_id, center, "receipt", reorder_quantity, None, arrived));
    }

    fn movement(
        &mut self,
        product_id: u64,
        center: usize,
        kind: &'static str,
        quantity: i64,
        order_id: Option<u64>,
        at: DateTime<Utc>,
    ) -> Movement {
        let id = self.next_id;
        self.next_id += 1;
        Movement { id, product_id, center, kind, quantity, order_id, at }
    }

    #[expect(clippy::cast_possible_truncation, reason = "product ids count from 1")]
    fn place(product_id: u64, center: usize) -> usize {
        (product_id as usize - 1) * CENTERS.len() + center
    }
}

impl Row for Movement {
    const TABLE: &'static str = "inventory_movements";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "product_id",
        "distribution_center_id",
        "kind",
        "quantity",
        "order_id",
        "occurred_at",
        "created_at",
        "updated_at",
    ];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        out.extend([
            self.id.into(),
            self.product_id.into(),
            (self.center as u64 + 1).into(),
            self.kind.into(),
            self.quantity.into(),
            self.order_id.into(),
            self.at.into(),
            self.at.into(),
            self.at.into(),
        ]);
    }
}

impl Row for Stock {
    const TABLE: &'static str = "inventory";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "product_id",
        "distribution_center_id",
        "on_hand",
        "reorder_point",
        "reorder_quantity",
        "created_at",
        "updated_at",
    ];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let on_hand = if self.fault == Some(Fault::NegativeStock) { -self.on_hand - 1 } else { self.on_hand };
        out.extend([
            self.id.into(),
            self.product_id.into(),
            (self.center as u64 + 1).into(),
            on_hand.into(),
            self.reorder_point.into(),
            self.reorder_quantity.into(),
            self.opened_at.into(),
            self.updated_at.into(),
        ]);
    }
}
