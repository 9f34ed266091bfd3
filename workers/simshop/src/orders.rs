//! Orders with everything that follows from them: lines, payments, a parcel, cancellations and returns, as far
//! as they have happened when the past ends.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, rngs::Xoshiro256PlusPlus};

use crate::{
    Shop,
    customers::{Customer, activity, country_code, registered_by},
    draw::{Stream, mix, rng, unit},
    faults::{Fault, Table, of},
    places::{CITIES, SHIPPERS, center_of},
    row::{Cents, Row, Truth, Value},
};

/// Lines of an order at most; also how far apart the ids of two orders' lines lie.
const MAX_LINES: u64 = 6;
/// Payments of an order at most.
const MAX_PAYMENTS: u64 = 4;
/// No ordinary order costs more, so that a burst of large amounts is never an accident.
const MAX_SUBTOTAL: Cents = Cents(150_000);

/// A row of `orders`.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its id.
    pub id: u64,
    /// Who ordered.
    pub customer_id: u64,
    /// When.
    pub ordered_at: DateTime<Utc>,
    /// What is to be paid.
    pub total: Cents,
    /// `placed`, `paid`, `shipped`, `delivered`, `cancelled` or `returned`.
    pub status: &'static str,
    channel: &'static str,
    subtotal: Cents,
    discount: Cents,
    shipping_fee: Cents,
    city: usize,
    postal_code: String,
    fault: Option<Fault>,
    updated_at: DateTime<Utc>,
}

/// A row of `order_items`.
#[derive(Debug, Clone)]
pub struct Item {
    /// The product.
    pub product_id: u64,
    /// The name of its category.
    pub category: &'static str,
    /// How many were bought.
    pub quantity: i64,
    /// What one cost.
    pub unit_price: Cents,
    /// How many came back.
    pub returned: i64,
    id: u64,
    order_id: u64,
    line_number: u64,
    fault: Option<Fault>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A row of `payments`.
#[derive(Debug, Clone)]
pub struct Payment {
    /// `approved`, `declined` or `pending`.
    pub status: &'static str,
    /// The card that was charged, as a token.
    pub card: Option<String>,
    id: u64,
    order_id: u64,
    kind: &'static str,
    method: &'static str,
    amount: Cents,
    paid_at: DateTime<Utc>,
    fault: Option<Fault>,
}

/// A row of `shipments`.
#[derive(Debug, Clone)]
pub struct Shipment {
    id: u64,
    shipper: usize,
    center: usize,
    status: &'static str,
    cost: Cents,
    ordered_at: DateTime<Utc>,
    packed_at: DateTime<Utc>,
    shipped_at: DateTime<Utc>,
    delivered_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    fault: Option<Fault>,
}

/// An order and what followed.
#[derive(Debug, Clone)]
pub struct Sale {
    /// The order.
    pub order: Order,
    /// Its lines, at least one.
    pub items: Vec<Item>,
    /// Money that moved, or was meant to.
    pub payments: Vec<Payment>,
    /// Its parcel, once one was packed.
    pub shipment: Option<Shipment>,
    /// Index of the center that it leaves from.
    pub(crate) center: usize,
    /// When what came back was put on the shelf again.
    pub(crate) returned_at: Option<DateTime<Utc>>,
}

impl Sale {
    /// The labels of what is wrong with its rows on purpose.
    pub fn truth(&self, seed: u64) -> Vec<Truth> {
        let dirty = |source, id, fault: Option<Fault>| Some(Truth::dirty(source, id, fault?.label(), seed));
        let order = dirty("orders", self.order.id, self.order.fault);
        let items = self.items.iter().filter_map(|item| dirty("order_items", item.id, item.fault));
        let payments = self.payments.iter().filter_map(|payment| dirty("payments", payment.id, payment.fault));
        let shipment = self.shipment.as_ref().and_then(|parcel| dirty("shipments", parcel.id, parcel.fault));
        order.into_iter().chain(items).chain(payments).chain(shipment).collect()
    }

    /// Gives the order, and all that refers to it, the id that a database chose. Lines, payments and parcel lose
    /// theirs: the database chooses those as well.
    pub fn renumber(&mut self, order_id: u64) {
        self.order.id = order_id;
        self.items.iter_mut().for_each(|item| item.order_id = order_id);
        self.payments.iter_mut().for_each(|payment| payment.order_id = order_id);
    }

    /// Id of the distribution center that the goods leave from.
    pub fn center_id(&self) -> u64 {
        self.center as u64 + 1
    }
}

impl Shop {
    /// Order `index` of the past, from 0; its id is one more, and later ids are later orders.
    pub fn sale(&self, index: u64) -> Sale {
        let settings = self.settings();
        let count = settings.orders();
        let jitter = unit(settings.seed, Stream::OrderTime, index);
        let at = micros(self.0.demand.at((index as f64 + jitter) / count as f64));
        let mut rng = rng(settings.seed, Stream::Order, index);
        let customer = self.customer(self.buyer(&mut rng, at));
        let at = at.max(micros(customer.registered_at) + TimeDelta::seconds(20));
        let mut sale = self.placed(&mut rng, index, at, &customer);
        self.fulfil(&mut rng, &mut sale);
        self.spoil(&mut sale);
        sale
    }

    /// Who buys at `at`: often someone who just registered, else someone by activity.
    pub(crate) fn buyer(&self, rng: &mut Xoshiro256PlusPlus, at: DateTime<Utc>) -> u64 {
        let settings = self.settings();
        let known = registered_by(settings, at);
        if rng.random_bool(0.06) {
            return known - 1 - rng.random_range(0..known.min(5));
        }
        let mut candidate = rng.random_range(0..known);
        for _ in 0..24 {
            if rng.random::<f64>() < activity(settings, candidate, at) {
                break;
            }
            candidate = rng.random_range(0..known);
        }
        candidate
    }

    /// An order as it is at the moment when it is placed and its payment begins.
    pub(crate) fn placed(
        &self,
        rng: &mut Xoshiro256PlusPlus,
        index: u64,
        at: DateTime<Utc>,
        customer: &Customer,
    ) -> Sale {
        let id = index + 1;
        let items = self.basket(rng, index, at);
        let subtotal = Cents(items.iter().map(Item::total).sum());
        let discount =
            if rng.random_bool(0.08) { Cents(subtotal.0 / 100 * rng.random_range(5..=15)) } else { Cents(0) };
        let shipping_fee = if subtotal.0 < 5_000 { Cents(490) } else { Cents(0) };
        let total = Cents(subtotal.0 - discount.0 + shipping_fee.0);
        let order = Order {
            id,
            customer_id: customer.id,
            ordered_at: at,
            total,
            status: "placed",
            channel: match rng.random_range(0..100) {
                0..58 => "web",
                58..96 => "app",
                _ => "phone",
            },
            subtotal,
            discount,
            shipping_fee,
            city: customer.city,
            postal_code: customer.postal_code.clone(),
            fault: None,
            updated_at: at,
        };
        let center = center_of(customer.city);
        Sale { order, items, payments: Vec::new(), shipment: None, center, returned_at: None }
    }

    fn basket(&self, rng: &mut Xoshiro256PlusPlus, index: u64, at: DateTime<Utc>) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::with_capacity(3);
        let mut sum = 0;
        while items.is_empty() || (rng.random_bool(0.48) && (items.len() as u64) < MAX_LINES) {
            let product = &self.products()[self.0.popularity.pick(rng.random())];
            if product.launched_at() > at || items.iter().any(|item| item.product_id == product.id) {
                continue;
            }
            let unit_price = product.price_at(at);
            let most = if unit_price.0 < 3_000 { 4 } else { 2 };
            let quantity = if rng.random_bool(0.74) { 1 } else { rng.random_range(1..=most) };
            sum += unit_price.0 * quantity;
            if sum > MAX_SUBTOTAL.0 && !items.is_empty() {
                break;
            }
            items.push(Item::new(index, items.len() as u64, product, quantity, unit_price, at));
        }
        items
    }

    /// Lets time pass until the past ends: payment, cancellation, parcel, return.
    fn fulfil(&self, rng: &mut Xoshiro256PlusPlus, sale: &mut Sale) {
        let until = self.settings().until;
        let at = sale.order.ordered_at;
        let id = sale.order.id;
        let (method, paid_after) = match rng.random_range(0..100) {
            0..52 => ("card", TimeDelta::seconds(rng.random_range(5..120))),
            52..78 => ("paypal", TimeDelta::seconds(rng.random_range(10..240))),
            78..92 => ("invoice", TimeDelta::minutes(rng.random_range(3 * 1440..14 * 1440))),
            _ => ("bank_transfer", TimeDelta::minutes(rng.random_range(600..3 * 1440))),
        };
        let card = (method == "card").then(|| card_of(self.settings().seed, sale.order.customer_id));
        let charge = |n, status, paid_at| Payment {
            status,
            card: card.clone(),
            id: (id - 1) * MAX_PAYMENTS + n,
            order_id: id,
            kind: "charge",
            method,
            amount: sale.order.total,
            paid_at,
            fault: None,
        };
        if method == "card" && rng.random_bool(0.04) {
            sale.payments.push(charge(1, "declined", at + TimeDelta::seconds(2)));
        }
        let paid_at = at + paid_after;
        if paid_at < until {
            sale.payments.push(charge(2, "approved", paid_at));
            sale.order.move_to("paid", paid_at);
        } else {
            sale.payments.push(charge(2, "pending", at));
        }
        if rng.random_bool(0.03) {
            let cancelled = at + TimeDelta::minutes(rng.random_range(10..1200));
            if cancelled < until {
                sale.order.status = "cancelled";
                if paid_at < cancelled {
                    sale.refund(sale.order.total, cancelled);
                }
                // What is not paid yet never will be.
                for payment in sale.payments.iter_mut().filter(|payment| payment.paid_at > cancelled) {
                    (payment.status, payment.paid_at) = ("pending", at);
                }
                sale.order.updated_at = cancelled;
            }
            return;
        }
        // Invoices are sent with the goods; everyone else waits for the money.
        let packed = if method == "invoice" { at } else { paid_at } + TimeDelta::minutes(rng.random_range(90..2000));
        let shipped = packed + TimeDelta::minutes(rng.random_range(30..300));
        if shipped >= until {
            return;
        }
        sale.ship(rng, packed, shipped, until);
        let Some(delivered) = sale.shipment.as_ref().and_then(|parcel| parcel.delivered_at) else { return };
        if rng.random_bool(0.07) {
            sale.take_back(rng, delivered, until);
        }
    }

    /// Plants the faults that these rows were chosen to carry.
    fn spoil(&self, sale: &mut Sale) {
        let settings = self.settings();
        let fault = |table, id| of(settings.seed, settings.dirty_rate, table, id);
        sale.order.fault = fault(Table::Orders, sale.order.id);
        if sale.order.fault == Some(Fault::TotalMismatch) {
            sale.order.total.0 += 100 + (mix(settings.seed, Stream::Fault, sale.order.id) % 4_900).cast_signed();
        }
        for item in &mut sale.items {
            item.fault = fault(Table::Items, item.id);
        }
        for payment in &mut sale.payments {
            payment.fault = fault(Table::Payments, payment.id);
        }
        if let Some(parcel) = &mut sale.shipment {
            parcel.fault = fault(Table::Shipments, parcel.id)
                .filter(|fault| *fault != Fault::DeliveredBeforeShipped || parcel.delivered_at.is_some());
        }
    }
}

impl Sale {
    fn ship(
        &mut self,
        rng: &mut Xoshiro256PlusPlus,
        packed_at: DateTime<Utc>,
        shipped_at: DateTime<Utc>,
        until: DateTime<Utc>,
    ) {
        let share: f64 = rng.random();
        let mut sum = 0.0;
        let shipper = SHIPPERS
            .iter()
            .position(|(.., weight)| {
                sum += weight;
                share < sum
            })
            .unwrap_or(0);
        let delivered = shipped_at + TimeDelta::minutes(rng.random_range(1_000..5_500));
        let delivered_at = (delivered < until).then_some(delivered);
        let status = if delivered_at.is_some() { "delivered" } else { "in_transit" };
        self.order
            .move_to(if delivered_at.is_some() { "delivered" } else { "shipped" }, delivered_at.unwrap_or(shipped_at));
        self.shipment = Some(Shipment {
            id: self.order.id,
            shipper,
            center: self.center,
            status,
            cost: Cents(rng.random_range(290..890)),
            ordered_at: self.order.ordered_at,
            packed_at,
            shipped_at,
            delivered_at,
            updated_at: delivered_at.unwrap_or(shipped_at),
            fault: None,
        });
    }

    /// Some or all of the goods come back and their price is refunded.
    fn take_back(&mut self, rng: &mut Xoshiro256PlusPlus, delivered: DateTime<Utc>, until: DateTime<Utc>) {
        let back = delivered + TimeDelta::minutes(rng.random_range(2 * 1440..14 * 1440));
        if back >= until {
            return;
        }
        let all = rng.random_bool(0.5);
        let count = if all { self.items.len() } else { 1 };
        let mut refund = 0;
        for item in &mut self.items[..count] {
            item.returned = item.quantity;
            item.updated_at = back;
            refund += item.total();
        }
        if count == self.items.len() {
            self.order.status = "returned";
            if let Some(parcel) = &mut self.shipment {
                parcel.status = "returned";
                parcel.updated_at = back;
            }
        }
        self.order.updated_at = self.order.updated_at.max(back);
        self.returned_at = Some(back);
        // An invoice that is still open is written down instead.
        if self.payments.iter().any(|payment| payment.status == "approved" && payment.paid_at < back) {
            self.refund(Cents(refund), back);
        }
    }

    fn refund(&mut self, amount: Cents, at: DateTime<Utc>) {
        let Some(charge) = self.payments.last() else { return };
        let (id, method, card) = (charge.id + 1, charge.method, charge.card.clone());
        let order_id = self.order.id;
        let refund = Payment {
            status: "approved",
            card,
            id,
            order_id,
            kind: "refund",
            method,
            amount,
            paid_at: at,
            fault: None,
        };
        self.payments.push(refund);
    }

    /// Marks the order as paid, or refused, by card at the moment when it was placed.
    pub(crate) fn pay_at_once(&mut self, card: String, approved: bool) {
        let (status, order) = if approved { ("approved", "paid") } else { ("declined", "cancelled") };
        self.order.status = order;
        self.payments = vec![Payment {
            status,
            card: Some(card),
            id: 0,
            order_id: self.order.id,
            kind: "charge",
            method: "card",
            amount: self.order.total,
            paid_at: self.order.ordered_at,
            fault: None,
        }];
    }

    /// Makes it an order of one line that costs exactly `amount`.
    pub(crate) fn cost_exactly(&mut self, amount: Cents) {
        self.items.truncate(1);
        for item in &mut self.items {
            item.quantity = 1;
            item.unit_price = amount;
        }
        let order = &mut self.order;
        (order.subtotal, order.discount, order.shipping_fee, order.total) = (amount, Cents(0), Cents(0), amount);
    }
}

impl Order {
    /// Time passes in one direction: a payment that arrives after the parcel changes no state.
    fn move_to(&mut self, status: &'static str, at: DateTime<Utc>) {
        self.status = status;
        self.updated_at = self.updated_at.max(at);
    }
}

impl Item {
    pub(crate) fn new(
        order_index: u64,
        line: u64,
        product: &crate::Product,
        quantity: i64,
        unit_price: Cents,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            product_id: product.id,
            category: product.category,
            quantity,
            unit_price,
            returned: 0,
            id: order_index * MAX_LINES + line + 1,
            order_id: order_index + 1,
            line_number: line + 1,
            fault: None,
            created_at: at,
            updated_at: at,
        }
    }

    fn total(&self) -> i64 {
        self.quantity * self.unit_price.0
    }
}

/// The card that a customer always pays with.
pub(crate) fn card_of(seed: u64, customer_id: u64) -> String {
    format!("c_{:016x}", mix(seed, Stream::Identity, customer_id | 1 << 48))
}

/// `MySQL` keeps microseconds.
pub(crate) fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

impl Row for Order {
    const TABLE: &'static str = "orders";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "order_number",
        "customer_id",
        "status",
        "channel",
        "ordered_at",
        "currency",
        "subtotal",
        "discount",
        "shipping_fee",
        "total",
        "ship_postal_code",
        "ship_city",
        "ship_region",
        "ship_country",
        "created_at",
        "updated_at",
    ];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let city = &CITIES[self.city];
        out.extend([
            self.id.into(),
            Value::Text(format!("O{:010}", self.id).into()),
            self.customer_id.into(),
            self.status.into(),
            self.channel.into(),
            self.ordered_at.into(),
            "EUR".into(),
            self.subtotal.into(),
            self.discount.into(),
            self.shipping_fee.into(),
            self.total.into(),
            self.postal_code.as_str().into(),
            city.name.into(),
            city.region.into(),
            country_code(city.country.code(), self.fault, self.id),
            self.ordered_at.into(),
            self.updated_at.into(),
        ]);
    }
}

impl Row for Item {
    const TABLE: &'static str = "order_items";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "order_id",
        "line_number",
        "product_id",
        "quantity",
        "unit_price",
        "line_total",
        "returned_quantity",
        "created_at",
        "updated_at",
    ];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let quantity = if self.fault == Some(Fault::NegativeQuantity) { -self.quantity } else { self.quantity };
        let unit_price = if self.fault == Some(Fault::ZeroPrice) { Cents(0) } else { self.unit_price };
        out.extend([
            self.id.into(),
            self.order_id.into(),
            self.line_number.into(),
            self.product_id.into(),
            quantity.into(),
            unit_price.into(),
            Cents(self.total()).into(),
            self.returned.into(),
            self.created_at.into(),
            self.updated_at.into(),
        ]);
    }
}

impl Row for Payment {
    const TABLE: &'static str = "payments";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "order_id",
        "kind",
        "method",
        "status",
        "amount",
        "currency",
        "card_token",
        "paid_at",
        "created_at",
        "updated_at",
    ];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let amount = if self.fault == Some(Fault::ZeroAmount) { Cents(0) } else { self.amount };
        out.extend([
            self.id.into(),
            self.order_id.into(),
            self.kind.into(),
            self.method.into(),
            self.status.into(),
            amount.into(),
            "EUR".into(),
            self.card.as_deref().into(),
            self.paid_at.into(),
            self.paid_at.into(),
            self.paid_at.into(),
        ]);
    }
}

impl Row for Shipment {
    const TABLE: &'static str = "shipments";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "order_id",
        "shipper_id",
        "distribution_center_id",
        "tracking_number",
        "status",
        "cost",
        "shipped_at",
        "delivered_at",
        "created_at",
        "updated_at",
    ];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let (shipped_at, delivered_at) = match self.fault {
            Some(Fault::ShippedBeforeOrdered) => (self.ordered_at - TimeDelta::days(2), self.delivered_at),
            Some(Fault::DeliveredBeforeShipped) => (self.shipped_at, Some(self.shipped_at - TimeDelta::hours(5))),
            _ => (self.shipped_at, self.delivered_at),
        };
        out.extend([
            self.id.into(),
            self.id.into(),
            (self.shipper as u64 + 1).into(),
            (self.center as u64 + 1).into(),
            Value::Text(format!("{}{:010}", SHIPPERS[self.shipper].0, self.id).into()),
            self.status.into(),
            self.cost.into(),
            shipped_at.into(),
            delivered_at.into(),
            self.packed_at.into(),
            self.updated_at.into(),
        ]);
    }
}
