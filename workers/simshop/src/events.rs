//! The present: clicks and orders as events, with labelled attacks among them and a little disorder, in the
//! order in which they would reach a broker.

use std::{borrow::Cow, cmp::Ordering, collections::BinaryHeap};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::{RngExt, rngs::Xoshiro256PlusPlus};
use serde::{Serialize, Serializer};

use crate::{
    Settings, Shop,
    customers::Customer,
    draw::{Stream, mix, one_of, rng, unit},
    orders::{Sale, card_of, micros},
    row::{Cents, Truth},
};

/// Where order events go.
const ORDERS: &str = "shop.orders";
/// Where click events go.
const CLICKS: &str = "shop.clicks";
/// Events that an ordinary session gives, on average: what turns a rate of events into one of sessions.
const EVENTS_PER_SESSION: f64 = 6.3;

const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/141.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/139.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Safari/605.1",
    "Mozilla/5.0 (Linux; Android 15) Chrome/139.0 Mobile",
    "SimMart-App/7.2 (Android)",
];

/// How much happens.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Ordinary events a second of event time.
    pub events_per_s: f64,
    /// Time between the beginnings of two attacks; none without it.
    pub attack_every: Option<TimeDelta>,
    /// Share of events whose bytes are cut off on the way.
    pub malformed_rate: f64,
    /// Share of buyers who open an account for their order.
    pub new_customer_rate: f64,
}

impl Default for Traffic {
    /// A small shop on a good evening.
    fn default() -> Self {
        Self {
            events_per_s: 20.0,
            attack_every: Some(TimeDelta::seconds(60)),
            malformed_rate: 0.0005,
            new_customer_rate: 0.0,
        }
    }
}

/// What somebody tries to get away with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Many small charges on one card and device, declined, until one passes.
    CardTesting,
    /// A handful of very large orders on one card within a second or two.
    VelocityBurst,
    /// One session that turns pages faster, and more evenly, than a person does.
    BotBrowsing,
}

impl Attack {
    /// As in `generator_truth.fault`.
    pub fn label(self) -> &'static str {
        match self {
            Self::CardTesting => "card_testing",
            Self::VelocityBurst => "velocity_burst",
            Self::BotBrowsing => "bot_browsing",
        }
    }
}

/// One event on its way to a topic.
#[derive(Debug, Clone)]
pub struct Event {
    /// `shop.orders` or `shop.clicks`.
    pub topic: &'static str,
    /// The record's key: the customer's id, or the session of somebody unknown.
    pub key: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When it reaches the broker; never before `at`. The stream ascends by this.
    pub sent_at: DateTime<Utc>,
    /// What it says.
    pub body: Body,
    /// The rows that the order is made of, for whoever keeps a database in step.
    pub sale: Option<Box<Sale>>,
    /// The account that was opened for the order.
    pub new_customer: Option<Box<Customer>>,
    /// Set where it is part of an attack, or cut off.
    pub truth: Option<Truth>,
}

/// What an event says.
#[derive(Debug, Clone)]
pub enum Body {
    /// Something was ordered.
    Order(OrderEvent),
    /// A page was looked at.
    Click(ClickEvent),
    /// Bytes that are not JSON.
    Malformed(Vec<u8>),
}

/// An event of `shop.orders`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "order")]
pub struct OrderEvent {
    /// A UUID.
    pub event_id: String,
    /// When, RFC 3339 in UTC with microseconds.
    #[serde(serialize_with = "rfc3339")]
    pub ts: DateTime<Utc>,
    /// `orders.id`.
    pub order_id: u64,
    /// `customers.id`.
    pub customer_id: u64,
    /// The card, as a token.
    pub card: String,
    /// The device, as a token.
    pub device: String,
    /// What was to be paid.
    pub amount: Cents,
    /// ISO 4217.
    pub currency: &'static str,
    /// `approved` or `declined`.
    pub status: &'static str,
    /// The lines.
    pub items: Vec<OrderEventItem>,
    /// The city it goes to.
    pub city: Cow<'static, str>,
    /// Its country, ISO 3166-1 alpha-2.
    pub country: Cow<'static, str>,
}

/// A line of an [`OrderEvent`].
#[derive(Debug, Clone, Serialize)]
pub struct OrderEventItem {
    /// `products.id`.
    pub product_id: u64,
    /// The name of the product's category.
    pub category: &'static str,
    /// How many.
    pub quantity: i64,
    /// What one costs.
    pub unit_price: Cents,
}

/// An event of `shop.clicks`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "click")]
pub struct ClickEvent {
    /// A UUID.
    pub event_id: String,
    /// When, RFC 3339 in UTC with microseconds.
    #[serde(serialize_with = "rfc3339")]
    pub ts: DateTime<Utc>,
    /// The visit.
    pub session_id: String,
    /// Who, if they are signed in.
    pub customer_id: Option<u64>,
    /// The device, as a token.
    pub device: String,
    /// `home`, `search`, `product`, `cart` or `checkout`.
    pub page: &'static str,
    /// The product on a product page.
    pub product_id: Option<u64>,
    /// A private address.
    pub ip: String,
    /// What the browser calls itself.
    pub user_agent: &'static str,
}

impl Event {
    /// The record's bytes.
    pub fn payload(&self) -> Vec<u8> {
        let json = match &self.body {
            Body::Order(order) => serde_json::to_vec(order),
            Body::Click(click) => serde_json::to_vec(click),
            Body::Malformed(bytes) => return bytes.clone(),
        };
        // Strings, numbers and times always become JSON.
        json.unwrap_or_default()
    }

    /// Gives an order's event, and its rows, the ids that a database chose.
    pub fn assign(&mut self, order: u64, customer: u64) {
        if let Body::Order(event) = &mut self.body {
            event.order_id = order;
            event.customer_id = customer;
        }
        self.key = customer.to_string();
        if let Some(sale) = &mut self.sale {
            sale.renumber(order);
            sale.order.customer_id = customer;
        }
        if let Some(new) = &mut self.new_customer {
            new.id = customer;
        }
    }

    /// The event's own id; a cut-off one has none.
    pub fn id(&self) -> Option<&str> {
        match &self.body {
            Body::Order(order) => Some(&order.event_id),
            Body::Click(click) => Some(&click.event_id),
            Body::Malformed(_) => None,
        }
    }
}

fn rfc3339<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// An endless iterator of events, ascending by when they are sent.
pub struct EventStream {
    shop: Shop,
    traffic: Traffic,
    seed: u64,
    start: DateTime<Utc>,
    sessions: u64,
    next_session: DateTime<Utc>,
    attacks: u64,
    pending: BinaryHeap<Pending>,
    made: u64,
}

impl EventStream {
    /// Ordinary traffic with an attack a minute on a shop of scale 1, from `start` on.
    pub fn new(seed: u64, start: DateTime<Utc>) -> Self {
        let settings = Settings { days: 30, ..Settings::new(seed, start) };
        Self::of(Shop::new(settings), seed, start, Traffic::default())
    }

    /// Traffic on `shop`. The same seed and traffic give the same events, moved to `start`.
    pub fn of(shop: Shop, seed: u64, start: DateTime<Utc>, traffic: Traffic) -> Self {
        let start = micros(start);
        Self {
            shop,
            traffic,
            seed,
            start,
            sessions: 0,
            next_session: start,
            attacks: 0,
            pending: BinaryHeap::new(),
            made: 0,
        }
    }

    /// Opens sessions and attacks until nothing that is still to begin could be sent before the next event.
    fn fill(&mut self) {
        loop {
            let next = self.pending.peek().map(|pending| pending.event.sent_at);
            let attack_at = self.next_attack();
            if next.is_some_and(|next| next < self.next_session && attack_at.is_none_or(|at| next < at)) {
                return;
            }
            if let Some(at) = attack_at.filter(|at| *at <= self.next_session) {
                self.attack(at);
                self.attacks += 1;
            } else {
                self.session();
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a share of the time between two attacks")]
    fn next_attack(&self) -> Option<DateTime<Utc>> {
        let every = self.traffic.attack_every?;
        let jitter = 0.2 + 0.3 * unit(self.seed, Stream::Attack, self.attacks);
        let number = i32::try_from(self.attacks).ok()?;
        let offset = TimeDelta::microseconds((every.num_microseconds()? as f64 * jitter) as i64);
        Some(self.start + every * number + offset)
    }

    /// One person's visit, which begins at `next_session`.
    #[expect(clippy::cast_possible_truncation, reason = "gaps between sessions are short")]
    fn session(&mut self) {
        let number = self.sessions;
        let mut rng = rng(self.seed, Stream::Session, number);
        let at = self.next_session;
        self.sessions += 1;
        let gap = -(1.0 - rng.random::<f64>()).ln() * EVENTS_PER_SESSION / self.traffic.events_per_s.max(0.01);
        self.next_session += TimeDelta::microseconds((gap * 1e6) as i64 + 1);

        let signed_in = rng.random_bool(0.6);
        let buyer = signed_in.then(|| self.shop.buyer(&mut rng, at));
        let visitor = Visitor::new(self.seed, number, buyer, &mut rng);
        let mut now = at;
        self.click(&visitor, now, if rng.random_bool(0.7) { "home" } else { "search" }, None, None);
        for _ in 0..rng.random_range(1..8) {
            now += TimeDelta::milliseconds(rng.random_range(2_500..40_000));
            let product = self.shop.0.popularity.pick(rng.random()) as u64 + 1;
            self.click(&visitor, now, "product", Some(product), None);
        }
        let Some(buyer) = buyer.filter(|_| rng.random_bool(0.45)) else { return };
        for page in ["cart", "checkout"] {
            now += TimeDelta::milliseconds(rng.random_range(3_000..30_000));
            self.click(&visitor, now, page, None, None);
        }
        now += TimeDelta::milliseconds(rng.random_range(5_000..40_000));
        let new = rng.random_bool(self.traffic.new_customer_rate.clamp(0.0, 1.0));
        let customer = if new {
            // Beyond the accounts of the past; whoever stores it chooses its id.
            let index = self.shop.settings().customers() + (mix(self.seed, Stream::Customer, number) >> 24);
            let mut customer = self.shop.clean_customer(index);
            customer.registered_at = now;
            customer
        } else {
            self.shop.customer(buyer)
        };
        let mut sale = self.shop.placed(&mut rng, number, now, &customer);
        sale.pay_at_once(card_of(self.seed, customer.id), rng.random_bool(0.97));
        self.order(sale, &customer, &visitor.device, new, None);
    }

    fn attack(&mut self, at: DateTime<Utc>) {
        let number = self.attacks;
        let mut rng = rng(self.seed, Stream::Attack, number | 1 << 40);
        let attack = match number % 3 {
            0 => Attack::CardTesting,
            1 => Attack::VelocityBurst,
            _ => Attack::BotBrowsing,
        };
        let episode = format!("{}-{number}-{:08x}", attack.label(), mix(self.seed, Stream::Attack, number) >> 32);
        let buyer = self.shop.buyer(&mut rng, at);
        let visitor = Visitor::new(self.seed, number | 1 << 41, Some(buyer), &mut rng);
        let customer = self.shop.customer(buyer);
        let card = card_of(self.seed, rng.random_range(1 << 50..1 << 51));
        let mut now = at;
        match attack {
            Attack::CardTesting => {
                let tries = rng.random_range(14..26);
                for attempt in 1..=tries {
                    let mut sale = self.shop.placed(&mut rng, number, now, &customer);
                    sale.cost_exactly(Cents(rng.random_range(50..250)));
                    sale.pay_at_once(card.clone(), attempt == tries);
                    self.order(sale, &customer, &visitor.device, false, Some((attack, &card, &episode)));
                    now += TimeDelta::milliseconds(rng.random_range(250..550));
                }
            }
            Attack::VelocityBurst => {
                // Any two of them pass the usual limit of 2,000, so a window's edge between them hides nothing.
                for _ in 0..rng.random_range(4..7) {
                    let mut sale = self.shop.placed(&mut rng, number, now, &customer);
                    sale.cost_exactly(Cents(rng.random_range(110_000..190_000)));
                    sale.pay_at_once(card.clone(), true);
                    self.order(sale, &customer, &visitor.device, false, Some((attack, &card, &episode)));
                    now += TimeDelta::milliseconds(rng.random_range(80..400));
                }
            }
            Attack::BotBrowsing => {
                for _ in 0..rng.random_range(90..160) {
                    let product = rng.random_range(1..=self.shop.settings().products());
                    self.click(&visitor, now, "product", Some(product), Some((attack, &episode)));
                    now += TimeDelta::milliseconds(rng.random_range(150..190));
                }
            }
        }
    }

    fn click(
        &mut self,
        visitor: &Visitor,
        at: DateTime<Utc>,
        page: &'static str,
        product_id: Option<u64>,
        attack: Option<(Attack, &str)>,
    ) {
        let event_id = self.event_id();
        let truth = attack.map(|(attack, episode)| {
            self.truth("attack", CLICKS, &event_id, attack.label(), &visitor.session, Some(episode), at)
        });
        let click = ClickEvent {
            event_id,
            ts: at,
            session_id: visitor.session.clone(),
            customer_id: visitor.customer_id,
            device: visitor.device.clone(),
            page,
            product_id,
            ip: visitor.ip.clone(),
            user_agent: visitor.user_agent,
        };
        let key = visitor.customer_id.map_or_else(|| visitor.session.clone(), |id| id.to_string());
        self.push(CLICKS, key, at, Body::Click(click), truth, None, None);
    }

    fn order(
        &mut self,
        sale: Sale,
        customer: &Customer,
        device: &str,
        new: bool,
        attack: Option<(Attack, &str, &str)>,
    ) {
        let event_id = self.event_id();
        let at = sale.order.ordered_at;
        let truth = attack.map(|(attack, card, episode)| {
            self.truth("attack", ORDERS, &event_id, attack.label(), card, Some(episode), at)
        });
        let payment = sale.payments.first();
        let order = OrderEvent {
            event_id,
            ts: at,
            order_id: self.made,
            customer_id: customer.id,
            card: payment.and_then(|payment| payment.card.clone()).unwrap_or_default(),
            device: device.to_owned(),
            amount: sale.order.total,
            currency: "EUR",
            status: payment.map_or("declined", |payment| payment.status),
            items: sale
                .items
                .iter()
                .map(|item| OrderEventItem {
                    product_id: item.product_id,
                    category: item.category,
                    quantity: item.quantity,
                    unit_price: item.unit_price,
                })
                .collect(),
            city: customer.city().into(),
            country: customer.country().into(),
        };
        let customer = new.then(|| Box::new(customer.clone()));
        self.push(ORDERS, order.customer_id.to_string(), at, Body::Order(order), truth, Some(Box::new(sale)), customer);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event, set in one place")]
    fn push(
        &mut self,
        topic: &'static str,
        key: String,
        at: DateTime<Utc>,
        body: Body,
        truth: Option<Truth>,
        sale: Option<Box<Sale>>,
        new_customer: Option<Box<Customer>>,
    ) {
        self.made += 1;
        let number = self.made;
        // One event in 25 takes a detour of up to 2.5 s; the others arrive almost at once.
        let draw = mix(self.seed, Stream::Session, number | 1 << 42);
        let delay = if draw.is_multiple_of(25) { (draw >> 8) % 2_500_000 } else { (draw >> 8) % 60_000 };
        let sent_at = at + TimeDelta::microseconds(delay.cast_signed());
        let event = Event { topic, key, at, sent_at, body, sale, new_customer, truth };
        let cut = unit(self.seed, Stream::Fault, number | 1 << 42) < self.traffic.malformed_rate;
        if cut && event.truth.is_none() {
            let copy = self.cut_off(&event);
            self.pending.push(Pending { number: number | 1 << 62, event: copy });
        }
        self.pending.push(Pending { number, event });
    }

    /// A second record with the first half of the event's bytes: a sender that died and tried again.
    fn cut_off(&self, event: &Event) -> Event {
        let mut bytes = event.payload();
        bytes.truncate(bytes.len() / 2);
        let reference = event.id().unwrap_or_default();
        let truth = self.truth("dirty", event.topic, reference, "malformed_event", &event.key, None, event.at);
        Event {
            topic: event.topic,
            key: event.key.clone(),
            at: event.at,
            sent_at: event.sent_at,
            body: Body::Malformed(bytes),
            sale: None,
            new_customer: None,
            truth: Some(truth),
        }
    }

    /// A UUID of version 8 (RFC 9562): the seed and the event's number decide all of it.
    fn event_id(&self) -> String {
        let high = mix(self.seed, Stream::Identity, self.made | 1 << 60);
        let low = mix(self.seed, Stream::Identity, self.made | 1 << 61);
        format!(
            "{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            (low >> 48) & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one label, set in one place")]
    fn truth(
        &self,
        kind: &'static str,
        source: &'static str,
        reference: &str,
        fault: &'static str,
        entity: &str,
        episode: Option<&str>,
        at: DateTime<Utc>,
    ) -> Truth {
        Truth {
            kind,
            source,
            reference: reference.to_owned(),
            fault,
            entity: Some(entity.to_owned()),
            episode: episode.map(str::to_owned),
            event_time: Some(at),
            seed: self.seed,
        }
    }
}

impl Iterator for EventStream {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.fill();
        self.pending.pop().map(|pending| pending.event)
    }
}

/// Somebody on the web page.
struct Visitor {
    session: String,
    customer_id: Option<u64>,
    device: String,
    ip: String,
    user_agent: &'static str,
}

impl Visitor {
    fn new(seed: u64, number: u64, buyer: Option<u64>, rng: &mut Xoshiro256PlusPlus) -> Self {
        // A customer keeps one device and address; a stranger is new each time.
        let identity = mix(seed, Stream::Identity, buyer.map_or(number | 1 << 52, |buyer| buyer | 1 << 53));
        Self {
            session: format!("s_{:016x}", mix(seed, Stream::Session, number | 1 << 43)),
            customer_id: buyer.map(|buyer| buyer + 1),
            device: format!("d_{identity:016x}"),
            ip: format!("10.{}.{}.{}", identity & 0xff, (identity >> 8) & 0xff, (identity >> 16) % 254 + 1),
            user_agent: one_of(rng, AGENTS),
        }
    }
}

/// An event that waits for its turn; the earliest is the greatest, as `BinaryHeap` gives the greatest first.
struct Pending {
    number: u64,
    event: Event,
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.event.sent_at, other.number).cmp(&(self.event.sent_at, self.number))
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pending {}
