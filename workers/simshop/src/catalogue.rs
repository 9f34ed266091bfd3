//! What the shop sells and who takes part: categories, suppliers, products with their prices over time,
//! distribution centers, shippers.

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;

use crate::{
    Settings, Shop,
    draw::{Stream, Weighted, mix, one_of, rng},
    faults::{Fault, Table, of},
    places::{CENTERS, CITIES, FOUNDERS, SHIPPERS},
    row::{Cents, Row, Truth, Value},
};

/// A category below the top: its name, what it holds, and its prices in whole euros from and to.
struct Leaf(&'static str, &'static [&'static str], u32, u32);

/// Top categories and what is below them. Ids count the tops first, then the leaves, in this order.
const TREE: &[(&str, &[Leaf])] = &[
    (
        "Home",
        &[
            Leaf("Kitchen", &["Kettle", "Pan", "Knife Set", "Teapot", "Coffee Grinder"], 12, 140),
            Leaf("Bedding", &["Duvet", "Pillow", "Blanket", "Bed Linen"], 18, 160),
            Leaf("Lighting", &["Desk Lamp", "Floor Lamp", "Lantern", "Reading Light"], 15, 180),
        ],
    ),
    (
        "Electronics",
        &[
            Leaf("Audio", &["Headphones", "Speaker", "Radio", "Turntable"], 25, 380),
            Leaf("Computing", &["Keyboard", "Mouse", "Monitor", "Webcam", "Dock"], 19, 420),
            Leaf("Photo", &["Tripod", "Camera Bag", "Instant Camera", "Photo Printer"], 15, 340),
        ],
    ),
    (
        "Fashion",
        &[
            Leaf("Women", &["Dress", "Cardigan", "Rain Coat", "Blouse"], 19, 150),
            Leaf("Men", &["Shirt", "Jumper", "Chinos", "Parka"], 19, 150),
            Leaf("Shoes", &["Trainers", "Boots", "Sandals", "Slippers"], 25, 160),
        ],
    ),
    (
        "Sports",
        &[
            Leaf("Outdoor", &["Tent", "Rucksack", "Sleeping Bag", "Head Torch"], 15, 260),
            Leaf("Cycling", &["Helmet", "Pannier", "Bike Lock", "Floor Pump"], 12, 140),
            Leaf("Fitness", &["Yoga Mat", "Kettlebell", "Skipping Rope", "Resistance Band"], 8, 90),
        ],
    ),
    (
        "Toys",
        &[
            Leaf("Games", &["Board Game", "Puzzle", "Card Game", "Dice Set"], 7, 60),
            Leaf("Building", &["Wooden Blocks", "Train Set", "Marble Run"], 12, 120),
        ],
    ),
    (
        "Garden",
        &[
            Leaf("Plants", &["Herb Set", "Olive Tree", "Rose Bush", "Seed Box"], 5, 60),
            Leaf("Tools", &["Secateurs", "Spade", "Watering Can", "Rake"], 9, 80),
        ],
    ),
    (
        "Books",
        &[
            Leaf("Cooking", &["Baking Book", "Soup Book", "Bread Book"], 12, 40),
            Leaf("Travel", &["City Guide", "Hiking Guide", "Atlas"], 10, 45),
        ],
    ),
    (
        "Grocery",
        &[
            Leaf("Coffee & Tea", &["Espresso Beans", "Green Tea", "Filter Coffee"], 4, 28),
            Leaf("Pantry", &["Olive Oil", "Honey", "Pasta", "Chocolate"], 3, 24),
        ],
    ),
];

const BRANDS: &[&str] = &[
    "Nordlicht",
    "Alpina",
    "Brava",
    "Casa Mia",
    "Kranich",
    "Lumen",
    "Fjell",
    "Montblau",
    "Ostwind",
    "Pinie",
    "Quelle",
    "Rotfuchs",
    "Silberbach",
    "Tramonto",
    "Uferhaus",
    "Verano",
    "Waldkind",
    "Zirbe",
];
const SERIES: &[&str] = &["Classic", "Uno", "Pro", "Mini", "Plus", "Natur", "Studio", "Duo", "Max", "Lite"];
const COLOURS: &[&str] = &["black", "white", "moss", "sand", "brick", "petrol", "plum", "oak"];
const MATERIALS: &[&str] = &["cotton", "steel", "beech", "recycled plastic", "wool", "aluminium", "glass", "cork"];

/// A row of `categories`.
#[derive(Debug, Clone)]
pub struct Category {
    id: u64,
    parent_id: Option<u64>,
    name: &'static str,
    slug: String,
    at: DateTime<Utc>,
}

/// A row of `suppliers`.
#[derive(Debug, Clone)]
pub struct Supplier {
    id: u64,
    name: String,
    email: String,
    phone: String,
    city: usize,
    lead_time_days: i64,
    at: DateTime<Utc>,
}

/// A row of `products`, with its prices over time.
#[derive(Debug, Clone)]
pub struct Product {
    /// Its id.
    pub id: u64,
    /// The name of its category.
    pub category: &'static str,
    /// Its name.
    pub name: String,
    /// The planted fault, if it carries one.
    pub fault: Option<Fault>,
    category_id: u64,
    supplier_id: u64,
    cost: Cents,
    weight_grams: i64,
    attributes: String,
    /// When each price began, ascending; never empty. The first began when the product did.
    prices: Vec<(DateTime<Utc>, Cents)>,
}

/// A row of `product_prices`.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "the names are those of the columns")]
pub struct Price {
    id: u64,
    product_id: u64,
    price: Cents,
    valid_from: DateTime<Utc>,
}

/// A row of `distribution_centers`.
#[derive(Debug, Clone, Copy)]
pub struct Center {
    index: usize,
    at: DateTime<Utc>,
}

/// A row of `shippers`.
#[derive(Debug, Clone, Copy)]
pub struct Shipper {
    index: usize,
    at: DateTime<Utc>,
}

impl Product {
    /// The price at `at`; before its launch, its first price.
    pub fn price_at(&self, at: DateTime<Utc>) -> Cents {
        let after = self.prices.partition_point(|(from, _)| *from <= at);
        self.prices[after.saturating_sub(1)].1
    }

    /// When the shop began to sell it.
    pub fn launched_at(&self) -> DateTime<Utc> {
        self.prices[0].0
    }

    fn changed_at(&self) -> DateTime<Utc> {
        self.prices[self.prices.len() - 1].0
    }
}

/// The catalogue's opening day: two years before the past begins.
fn opening(settings: &Settings) -> DateTime<Utc> {
    settings.start() - TimeDelta::days(730)
}

/// Popularity by Zipf's law with exponent 0.8, ranks shuffled over the products.
pub(crate) fn popularity(settings: &Settings) -> Weighted {
    let count = settings.products();
    let mut order: Vec<u64> = (0..count).collect();
    order.sort_by_key(|&index| mix(settings.seed, Stream::Product, index | 1 << 40));
    let mut rank = vec![0_u64; order.len()];
    for (place, index) in order.into_iter().enumerate() {
        if let Some(slot) = usize::try_from(index).ok().and_then(|index| rank.get_mut(index)) {
            *slot = place as u64;
        }
    }
    Weighted::new(rank.into_iter().map(|rank| 1.0 / (rank as f64 + 3.0).powf(0.8)))
}

/// Every product.
pub(crate) fn products(settings: &Settings) -> Vec<Product> {
    let leaves: Vec<(u64, &Leaf)> = TREE
        .iter()
        .flat_map(|(_, leaves)| leaves.iter())
        .enumerate()
        .map(|(place, leaf)| ((TREE.len() + place + 1) as u64, leaf))
        .collect();
    (0..settings.products()).map(|index| product(settings, index, &leaves)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "prices and indexes are small")]
fn product(settings: &Settings, index: u64, leaves: &[(u64, &Leaf)]) -> Product {
    let mut rng = rng(settings.seed, Stream::Product, index);
    let id = index + 1;
    let (category_id, Leaf(category, nouns, low, high)) = leaves[(index % leaves.len() as u64) as usize];
    let spread = (f64::from(*high) / f64::from(*low)).ln();
    let euros = f64::from(*low) * (spread * rng.random::<f64>()).exp();
    let first = round_price(euros * 100.0);
    let launched = if rng.random_bool(0.92) {
        settings.start() - TimeDelta::seconds(rng.random_range(86_400 * 5..86_400 * 700))
    } else {
        settings.start() + TimeDelta::seconds(rng.random_range(0..(i64::from(settings.days) * 69_120).max(1)))
    };
    Product {
        id,
        category,
        name: format!("{} {} {}", one_of(&mut rng, BRANDS), one_of(&mut rng, nouns), one_of(&mut rng, SERIES)),
        fault: of(settings.seed, settings.dirty_rate, Table::Products, id),
        category_id,
        supplier_id: rng.random_range(1..=settings.suppliers()),
        cost: Cents((first.0 as f64 * rng.random_range(0.42..0.74)) as i64),
        weight_grams: rng.random_range(80..9_000),
        attributes: format!(
            r#"{{"colour":"{}","material":"{}"}}"#,
            one_of(&mut rng, COLOURS),
            one_of(&mut rng, MATERIALS)
        ),
        prices: prices(settings, index, launched, first),
    }
}

/// A product's prices: it begins with `first`; about every 90 days comes a change of -15 % to +20 %.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of changes")]
fn prices(settings: &Settings, index: u64, launched: DateTime<Utc>, first: Cents) -> Vec<(DateTime<Utc>, Cents)> {
    let mut rng = rng(settings.seed, Stream::Price, index);
    let expected = f64::from(settings.days) / 90.0;
    let changes = (expected + rng.random::<f64>()) as usize;
    let window = (settings.until - settings.start()).num_seconds().max(2);
    let mut at: Vec<_> =
        (0..changes).map(|_| settings.start() + TimeDelta::seconds(rng.random_range(1..window))).collect();
    at.sort_unstable();
    at.dedup();
    let mut prices = vec![(launched, first)];
    let mut price = first;
    for from in at.into_iter().filter(|from| *from > launched) {
        price = round_price(price.0 as f64 * rng.random_range(0.85..1.2));
        prices.push((from, price));
    }
    prices
}

/// The nearest price that ends in 9.
#[expect(clippy::cast_possible_truncation, reason = "prices are small")]
fn round_price(cents: f64) -> Cents {
    Cents(((cents / 10.0).round() as i64 * 10 - 1).max(99))
}

impl Shop {
    /// Every category, parents first.
    pub fn categories(&self) -> Vec<Category> {
        let at = opening(self.settings());
        let slug = |parts: &[&str]| parts.join("-").to_lowercase().replace(" & ", "-").replace(' ', "-");
        let tops = TREE.iter().enumerate().map(|(place, (name, _))| Category {
            id: place as u64 + 1,
            parent_id: None,
            name,
            slug: slug(&[name]),
            at,
        });
        let leaves = TREE
            .iter()
            .enumerate()
            .flat_map(|(place, (top, leaves))| leaves.iter().map(move |leaf| (place as u64 + 1, *top, leaf)));
        let leaves = leaves.enumerate().map(|(place, (parent, top, leaf))| Category {
            id: (TREE.len() + place) as u64 + 1,
            parent_id: Some(parent),
            name: leaf.0,
            slug: slug(&[top, leaf.0]),
            at,
        });
        tops.chain(leaves).collect()
    }

    /// Every supplier.
    pub fn suppliers(&self) -> Vec<Supplier> {
        let settings = self.settings();
        (1..=settings.suppliers())
            .map(|id| {
                let mut rng = rng(settings.seed, Stream::Supplier, id);
                let founder = one_of(&mut rng, FOUNDERS);
                let form = one_of(&mut rng, &["GmbH", "KG", "& Sons", "AG", "Trading"]);
                Supplier {
                    id,
                    name: format!("{founder} {form} {id}"),
                    email: format!("orders@supplier{id}.example"),
                    phone: format!("+49 30 555{:04}", rng.random_range(0..10_000)),
                    city: rng.random_range(0..CITIES.len()),
                    lead_time_days: rng.random_range(2..12),
                    at: opening(settings),
                }
            })
            .collect()
    }

    /// Every price that a product ever had.
    pub fn prices(&self) -> Vec<Price> {
        let all = self.products().iter().flat_map(|p| p.prices.iter().map(move |&(from, price)| (p.id, from, price)));
        all.enumerate()
            .map(|(place, (product_id, valid_from, price))| Price {
                id: place as u64 + 1,
                product_id,
                price,
                valid_from,
            })
            .collect()
    }

    /// Every distribution center.
    pub fn centers(&self) -> Vec<Center> {
        let at = opening(self.settings());
        (0..CENTERS.len()).map(|index| Center { index, at }).collect()
    }

    /// Every shipper.
    pub fn shippers(&self) -> Vec<Shipper> {
        let at = opening(self.settings());
        (0..SHIPPERS.len()).map(|index| Shipper { index, at }).collect()
    }

    /// What is wrong with the catalogue on purpose.
    pub fn catalogue_truth(&self) -> Vec<Truth> {
        let seed = self.settings().seed;
        self.products().iter().filter_map(|p| Some(Truth::dirty("products", p.id, p.fault?.label(), seed))).collect()
    }
}

impl Row for Category {
    const TABLE: &'static str = "categories";
    const COLUMNS: &'static [&'static str] = &["id", "parent_id", "name", "slug", "created_at", "updated_at"];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        out.extend([
            self.id.into(),
            self.parent_id.into(),
            self.name.into(),
            self.slug.as_str().into(),
            self.at.into(),
            self.at.into(),
        ]);
    }
}

impl Row for Supplier {
    const TABLE: &'static str = "suppliers";
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "email", "phone", "city", "country_code", "lead_time_days", "created_at", "updated_at"];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let city = &CITIES[self.city];
        out.extend([
            self.id.into(),
            self.name.as_str().into(),
            self.email.as_str().into(),
            self.phone.as_str().into(),
            city.name.into(),
            city.country.code().into(),
            self.lead_time_days.into(),
            self.at.into(),
            self.at.into(),
        ]);
    }
}

impl Row for Product {
    const TABLE: &'static str = "products";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "sku",
        "name",
        "category_id",
        "supplier_id",
        "price",
        "cost",
        "currency",
        "weight_grams",
        "attributes",
        "active",
        "created_at",
        "updated_at",
    ];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let now = self.prices[self.prices.len() - 1].1;
        let price = if self.fault == Some(Fault::ZeroPrice) { Cents(0) } else { now };
        out.extend([
            self.id.into(),
            Value::Text(format!("SM-{:06}", self.id).into()),
            self.name.as_str().into(),
            self.category_id.into(),
            self.supplier_id.into(),
            price.into(),
            self.cost.into(),
            "EUR".into(),
            self.weight_grams.into(),
            self.attributes.as_str().into(),
            1_i64.into(),
            self.launched_at().into(),
            self.changed_at().into(),
        ]);
    }
}

impl Row for Price {
    const TABLE: &'static str = "product_prices";
    const COLUMNS: &'static [&'static str] = &["id", "product_id", "price", "valid_from", "created_at", "updated_at"];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let from = self.valid_from;
        out.extend([self.id.into(), self.product_id.into(), self.price.into(), from.into(), from.into(), from.into()]);
    }
}

impl Row for Center {
    const TABLE: &'static str = "distribution_centers";
    const COLUMNS: &'static [&'static str] =
        &["id", "code", "name", "city", "region", "country_code", "latitude", "longitude", "created_at", "updated_at"];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let center = &CENTERS[self.index];
        let city = &CITIES[center.city];
        out.extend([
            (self.index as u64 + 1).into(),
            center.code.into(),
            center.name.into(),
            city.name.into(),
            city.region.into(),
            city.country.code().into(),
            center.latitude.into(),
            center.longitude.into(),
            self.at.into(),
            self.at.into(),
        ]);
    }
}

impl Row for Shipper {
    const TABLE: &'static str = "shippers";
    const COLUMNS: &'static [&'static str] =
        &["id", "code", "name", "phone", "tracking_url", "created_at", "updated_at"];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let (code, name, phone, url, _) = SHIPPERS[self.index];
        out.extend([
            (self.index as u64 + 1).into(),
            code.into(),
            name.into(),
            phone.into(),
            url.into(),
            self.at.into(),
            self.at.into(),
        ]);
    }
}
