//! Who buys: accounts with addresses and demographics, spread over real cities.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rand::{RngExt, rngs::Xoshiro256PlusPlus};

use crate::{
    Settings, Shop,
    draw::{Stream, mix, one_of, rng, unit},
    faults::{Fault, Table, of},
    places::{CITIES, City, JOB_FIELDS, JOB_POSITIONS},
    row::{Row, Truth, Value},
};

/// Share of the accounts that are older than the past.
const OLD_SHARE: f64 = 0.6;
/// How long before the past the first account was opened.
const OLD_DAYS: f64 = 730.0;

/// A row of `customers`.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Its id.
    pub id: u64,
    /// The planted fault, if it carries one.
    pub fault: Option<Fault>,
    /// When the account was opened.
    pub registered_at: DateTime<Utc>,
    pub(crate) city: usize,
    pub(crate) postal_code: String,
    first_name: &'static str,
    last_name: &'static str,
    email: String,
    phone: Option<String>,
    gender: &'static str,
    birth_date: Option<NaiveDate>,
    occupation: Option<(&'static str, &'static str)>,
    street: &'static str,
    house_number: u32,
    newsletter: bool,
}

impl Customer {
    /// The city that parcels go to.
    pub fn city(&self) -> &'static str {
        CITIES[self.city].name
    }

    /// ISO 3166-1 alpha-2 of the country that parcels go to.
    pub fn country(&self) -> &'static str {
        CITIES[self.city].country.code()
    }

    /// The label of what is wrong with the row on purpose.
    pub fn truth(&self, seed: u64) -> Option<Truth> {
        Some(Truth::dirty("customers", self.id, self.fault?.label(), seed))
    }
}

/// When account `index` of `settings` was opened: rises with the index.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shares of days, in milliseconds")]
pub(crate) fn registered_at(settings: &Settings, index: u64) -> DateTime<Utc> {
    let count = settings.customers();
    // Accounts of the present come after all of the past's.
    let index = index.min(count);
    let old = (count as f64 * OLD_SHARE) as u64;
    let start = settings.start();
    if index < old {
        // More join each month than the month before.
        let share = 1.0 - ((index as f64 + 0.5) / old as f64).sqrt();
        return start - TimeDelta::milliseconds((share * OLD_DAYS * 86_400_000.0) as i64);
    }
    let share = (index - old) as f64 / (count - old).max(1) as f64;
    start + TimeDelta::milliseconds((share * f64::from(settings.days) * 86_400_000.0) as i64)
}

/// How many accounts exist at `at`; at least one.
pub(crate) fn registered_by(settings: &Settings, at: DateTime<Utc>) -> u64 {
    let (mut low, mut high) = (0, settings.customers());
    while low < high {
        let middle = u64::midpoint(low, high);
        if registered_at(settings, middle) <= at { low = middle + 1 } else { high = middle }
    }
    low.max(1)
}

/// How likely customer `index` is to order at `at`, from 0 to 1. A few buy much, most buy once; everyone buys
/// less as the account grows older, each at a pace of their own.
pub(crate) fn activity(settings: &Settings, index: u64, at: DateTime<Utc>) -> f64 {
    let loyalty = unit(settings.seed, Stream::Identity, index * 2);
    let pace = 40.0 + 500.0 * unit(settings.seed, Stream::Identity, index * 2 + 1);
    let age_days = (at - registered_at(settings, index)).num_minutes() as f64 / 1440.0;
    (0.03 + 0.97 * loyalty.powi(6)) * (-age_days / pace).exp().max(0.08)
}

impl Shop {
    /// Customer `index`, from 0; its id is one more.
    pub fn customer(&self, index: u64) -> Customer {
        let settings = self.settings();
        let id = index + 1;
        let fault = of(settings.seed, settings.dirty_rate, Table::Customers, id);
        let mut customer = match fault {
            Some(Fault::DuplicateCustomer) if index > 0 => {
                let original = mix(settings.seed, Stream::Fault, index) % index;
                self.clean_customer(original)
            }
            _ => self.clean_customer(index),
        };
        customer.id = id;
        customer.registered_at = registered_at(settings, index);
        // The very first account can be nobody's duplicate.
        customer.fault = fault.filter(|fault| *fault != Fault::DuplicateCustomer || index > 0);
        match customer.fault {
            Some(Fault::MalformedEmail) => {
                customer.email = customer.email.replace('@', if id.is_multiple_of(2) { " at " } else { "" });
            }
            Some(Fault::FutureBirthDate) => {
                customer.birth_date =
                    Some((settings.until + TimeDelta::days(400 + (id % 3000).cast_signed())).date_naive());
            }
            Some(Fault::MissingName) => customer.last_name = "",
            _ => {}
        }
        customer
    }

    pub(crate) fn clean_customer(&self, index: u64) -> Customer {
        let settings = self.settings();
        let mut rng = rng(settings.seed, Stream::Customer, index);
        let city_index = self.0.cities.pick(rng.random());
        let city = &CITIES[city_index];
        let words = city.country.words();
        let first_name = one_of(&mut rng, words.first);
        let last_name = one_of(&mut rng, words.last);
        let gender = match rng.random_range(0..100) {
            0..48 => "female",
            48..95 => "male",
            95..97 => "diverse",
            _ => "unknown",
        };
        let birth_date = rng.random_bool(0.94).then(|| birth_date(settings, &mut rng));
        let occupation = rng.random_bool(0.85).then(|| (one_of(&mut rng, JOB_FIELDS), one_of(&mut rng, JOB_POSITIONS)));
        let phone = rng.random_bool(0.7).then(|| phone(words.phone, rng.random_range(100_000..10_000_000)));
        Customer {
            id: index + 1,
            fault: None,
            registered_at: registered_at(settings, index),
            city: city_index,
            postal_code: postal_code(city, &mut rng),
            first_name,
            last_name,
            email: email(first_name, last_name, index, words.mail),
            phone,
            gender,
            birth_date,
            occupation,
            street: one_of(&mut rng, words.streets),
            house_number: rng.random_range(1..180),
            newsletter: rng.random_bool(0.4),
        }
    }
}

/// Between 18 and 88 years before the past ends, most of them in the middle.
fn birth_date(settings: &Settings, rng: &mut Xoshiro256PlusPlus) -> NaiveDate {
    let days = 6_575 + rng.random_range(0..12_800) + rng.random_range(0..12_800);
    (settings.until - TimeDelta::days(days)).date_naive()
}

fn postal_code(city: &City, rng: &mut Xoshiro256PlusPlus) -> String {
    let digits = city.country.postal_digits() as usize;
    let prefix = if city.postal < 10 && digits == 5 { format!("0{}", city.postal) } else { city.postal.to_string() };
    let rest = digits - prefix.len();
    let number = rng.random_range(0..10_u32.pow(u32::try_from(rest).unwrap_or_default()));
    format!("{prefix}{number:0rest$}")
}

fn phone(prefix: &str, number: u32) -> String {
    let mut text = String::with_capacity(16);
    text.push_str(prefix);
    // A `String` takes whatever is written to it.
    let _ = write!(text, " 555 {number}");
    text
}

/// `first.last.index@domain`, in ASCII.
fn email(first: &str, last: &str, index: u64, domain: &str) -> String {
    let mut text = String::with_capacity(first.len() + last.len() + domain.len() + 12);
    fold(first, &mut text);
    text.push('.');
    fold(last, &mut text);
    let _ = write!(text, ".{index}@{domain}");
    text
}

/// Appends the letters and digits of `name` in lower-case ASCII.
fn fold(name: &str, text: &mut String) {
    for letter in name.chars() {
        match letter {
            'a'..='z' | '0'..='9' => text.push(letter),
            'A'..='Z' => text.push(letter.to_ascii_lowercase()),
            'ä' | 'Ä' => text.push_str("ae"),
            'ö' | 'Ö' => text.push_str("oe"),
            'ü' | 'Ü' => text.push_str("ue"),
            'ß' => text.push_str("ss"),
            'à' | 'á' | 'â' | 'ã' | 'å' | 'Å' => text.push('a'),
            'é' | 'è' | 'ê' | 'ë' | 'É' => text.push('e'),
            'í' | 'ì' | 'î' | 'ï' => text.push('i'),
            'ó' | 'ò' | 'ô' | 'õ' => text.push('o'),
            'ú' | 'ù' | 'û' => text.push('u'),
            'ç' => text.push('c'),
            'ñ' => text.push('n'),
            _ => {}
        }
    }
}

impl Row for Customer {
    const TABLE: &'static str = "customers";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "customer_number",
        "email",
        "first_name",
        "last_name",
        "phone",
        "gender",
        "birth_date",
        "occupation",
        "street",
        "postal_code",
        "city",
        "region",
        "country_code",
        "newsletter",
        "registered_at",
        "created_at",
        "updated_at",
    ];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        let city = &CITIES[self.city];
        let occupation = self.occupation.map(|(field, position)| {
            let mut text = String::with_capacity(field.len() + position.len() + 1);
            text.push_str(field);
            text.push(' ');
            text.push_str(position);
            Value::Text(text.into())
        });
        out.extend([
            self.id.into(),
            Value::Text(format!("C{:09}", self.id).into()),
            self.email.as_str().into(),
            self.first_name.into(),
            self.last_name.into(),
            self.phone.as_deref().into(),
            self.gender.into(),
            self.birth_date.into(),
            occupation.unwrap_or(Value::Null),
            Value::Text(format!("{} {}", self.street, self.house_number).into()),
            self.postal_code.as_str().into(),
            city.name.into(),
            city.region.into(),
            country_code(city.country.code(), self.fault, self.id),
            i64::from(self.newsletter).into(),
            self.registered_at.into(),
            self.registered_at.into(),
            self.registered_at.into(),
        ]);
    }
}

/// The country's code, untidy if that is the row's fault.
pub(crate) fn country_code(code: &'static str, fault: Option<Fault>, id: u64) -> Value<'static> {
    match fault {
        Some(Fault::UntidyCountry) if id.is_multiple_of(2) => Value::Text(format!(" {} ", code.to_lowercase()).into()),
        Some(Fault::UntidyCountry) => Value::Text(format!("{code}  ").into()),
        _ => code.into(),
    }
}
