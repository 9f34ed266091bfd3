//! The faults that dirty rows carry: what gates must find, each with the label that the truth table holds.

use crate::draw::{Stream, mix, unit};

/// A fault planted in a row. Its label, [`Fault::label`], is in `generator_truth.fault`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// `customers.email` without an `@` or with spaces.
    MalformedEmail,
    /// `customers.birth_date` after today.
    FutureBirthDate,
    /// A country code in lower case or with blanks around it: `customers.country_code`, `orders.ship_country`.
    UntidyCountry,
    /// A second account with the name, e-mail, birth date and address of an earlier one.
    DuplicateCustomer,
    /// `customers.last_name` is empty.
    MissingName,
    /// `products.price` or `order_items.unit_price` is 0.
    ZeroPrice,
    /// `order_items.quantity` below zero.
    NegativeQuantity,
    /// `orders.total` is not subtotal - discount + shipping fee.
    TotalMismatch,
    /// `payments.amount` is 0.
    ZeroAmount,
    /// `shipments.shipped_at` before the order was placed, so before `created_at` too.
    ShippedBeforeOrdered,
    /// `shipments.delivered_at` before `shipped_at`.
    DeliveredBeforeShipped,
    /// `inventory.on_hand` below zero.
    NegativeStock,
}

impl Fault {
    /// As in `generator_truth.fault`.
    pub fn label(self) -> &'static str {
        match self {
            Self::MalformedEmail => "malformed_email",
            Self::FutureBirthDate => "future_birth_date",
            Self::UntidyCountry => "untidy_country",
            Self::DuplicateCustomer => "duplicate_customer",
            Self::MissingName => "missing_name",
            Self::ZeroPrice => "zero_price",
            Self::NegativeQuantity => "negative_quantity",
            Self::TotalMismatch => "total_mismatch",
            Self::ZeroAmount => "zero_amount",
            Self::ShippedBeforeOrdered => "shipped_before_ordered",
            Self::DeliveredBeforeShipped => "delivered_before_shipped",
            Self::NegativeStock => "negative_stock",
        }
    }
}

/// Tables whose rows can be dirty; each draws on its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Table {
    Customers,
    Products,
    Orders,
    Items,
    Payments,
    Shipments,
    Inventory,
}

impl Table {
    fn faults(self) -> &'static [Fault] {
        use Fault::{
            DeliveredBeforeShipped, DuplicateCustomer, FutureBirthDate, MalformedEmail, MissingName, NegativeQuantity,
            NegativeStock, ShippedBeforeOrdered, TotalMismatch, UntidyCountry, ZeroAmount, ZeroPrice,
        };
        match self {
            Self::Customers => &[MalformedEmail, FutureBirthDate, UntidyCountry, DuplicateCustomer, MissingName],
            Self::Products => &[ZeroPrice],
            Self::Orders => &[TotalMismatch, UntidyCountry],
            Self::Items => &[NegativeQuantity, ZeroPrice],
            Self::Payments => &[ZeroAmount],
            Self::Shipments => &[ShippedBeforeOrdered, DeliveredBeforeShipped],
            Self::Inventory => &[NegativeStock],
        }
    }
}

/// The fault that row `id` of `table` carries, if it is one of the `rate` that do.
pub(crate) fn of(seed: u64, rate: f64, table: Table, id: u64) -> Option<Fault> {
    // Eight draws a table leave room for the second one that picks the fault.
    let index = id * 16 + table as u64;
    if unit(seed, Stream::Fault, index) >= rate {
        return None;
    }
    let faults = table.faults();
    let pick = mix(seed, Stream::Fault, index + 8) % faults.len() as u64;
    usize::try_from(pick).ok().map(|pick| faults[pick])
}
