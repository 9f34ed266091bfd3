//! A synthetic shop: its catalogue, its customers, a past of orders with all that follows from them, and a
//! present of events. Everything is a function of [`Settings`]: the same settings give the same rows, however
//! many threads make them and in whatever order.
//!
//! This crate does no I/O and reads no clock. Faults that it plants on purpose are labelled with [`Truth`].

mod calendar;
mod catalogue;
mod customers;
mod draw;
mod events;
mod faults;
mod orders;
mod past;
mod places;
mod row;
pub mod schema;
mod stock;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

pub use catalogue::{Category, Center, Price, Product, Shipper, Supplier};
pub use customers::Customer;
pub use events::{Attack, Body, ClickEvent, Event, EventStream, OrderEvent, OrderEventItem, Traffic};
pub use faults::Fault;
pub use orders::{Item, Order, Payment, Sale, Shipment};
pub use past::{Chunk, Past, TableRows};
pub use row::{Cents, Row, Truth, Value};
pub use stock::{Movement, Stock, StockKeeper};

use calendar::Demand;
use draw::Weighted;

/// What a synthetic shop is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Everything random follows from it.
    pub seed: u64,
    /// Multiplies customers, products and orders; 1.0 is 10,000, 500 and 50,000 a year.
    pub scale: f64,
    /// Length of the past.
    pub days: u32,
    /// Where the past ends: nothing is later.
    pub until: DateTime<Utc>,
    /// Share of rows that carry a planted fault.
    pub dirty_rate: f64,
}

impl Settings {
    /// One per cent of dirty rows, a year of scale 1.
    pub fn new(seed: u64, until: DateTime<Utc>) -> Self {
        Self { seed, scale: 1.0, days: 365, until, dirty_rate: 0.01 }
    }

    /// Where the past begins.
    pub fn start(&self) -> DateTime<Utc> {
        self.until - TimeDelta::days(i64::from(self.days))
    }

    /// Number of customers.
    pub fn customers(&self) -> u64 {
        scaled(10_000.0, self.scale, 50)
    }

    /// Number of products.
    pub fn products(&self) -> u64 {
        scaled(500.0, self.scale, 24)
    }

    /// Number of suppliers.
    pub fn suppliers(&self) -> u64 {
        (self.products() / 20).max(6)
    }

    /// Number of orders in the past: 50,000 a year at scale 1, in proportion to its days.
    pub fn orders(&self) -> u64 {
        scaled(50_000.0, self.scale * f64::from(self.days) / 365.0, 10)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are small and positive")]
fn scaled(base: f64, scale: f64, least: u64) -> u64 {
    ((base * scale).round() as u64).max(least)
}

/// A shop, ready to be asked for rows. Cheap to clone and to share between threads.
#[derive(Debug, Clone)]
pub struct Shop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    products: Vec<Product>,
    /// Popularity of each product: Zipf's law over a shuffled order.
    popularity: Weighted,
    demand: Demand,
    cities: Weighted,
}

impl Shop {
    /// Builds the catalogue and the calendar; rows are made when asked for.
    pub fn new(settings: Settings) -> Self {
        let products = catalogue::products(&settings);
        let popularity = catalogue::popularity(&settings);
        let demand = Demand::new(&settings);
        Self(Arc::new(Inner { settings, products, popularity, demand, cities: places::city_weights() }))
    }

    /// What it was made from.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Every product, by id.
    pub fn products(&self) -> &[Product] {
        &self.0.products
    }
}
