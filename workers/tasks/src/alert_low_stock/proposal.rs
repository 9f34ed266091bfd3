//! What to order, for people.

use std::collections::BTreeMap;

use maud::{Markup, html};
use rust_decimal::Decimal;
use warehouse::outbox::{Mail, Notice};

use super::Low;
use crate::{
    letter::{Tone, card, figures, page, paragraph, toned},
    sender::Sender,
    wording::{grouped, money},
};

/// Products that a chat message lists; the mail has them all.
const LISTED: usize = 8;

/// The subject.
pub(super) fn subject(products: usize) -> String {
    match products {
        1 => "1 product runs low: order proposal".to_owned(),
        more => format!("{more} products run low: order proposal"),
    }
}

fn total(found: &[Low]) -> Decimal {
    found.iter().map(Low::cost).sum()
}

fn summary(sender: &Sender, found: &[Low], suppliers: usize) -> String {
    format!(
        "{} at or under the reorder point. Restocking all of them takes {} from {} and costs {}. Each is told once, \
         until it is restocked.",
        if found.len() == 1 { "1 product is".to_owned() } else { format!("{} products are", found.len()) },
        if suppliers == 1 { "one order".to_owned() } else { format!("{suppliers} orders") },
        if suppliers == 1 { "one supplier".to_owned() } else { format!("{suppliers} suppliers") },
        money(&sender.currency, total(found), 2),
    )
}

/// One card a supplier.
pub(super) fn mail(sender: &Sender, found: &[Low], by_supplier: &BTreeMap<&str, Vec<&Low>>) -> Mail {
    let title = subject(found.len());
    let summary = summary(sender, found, by_supplier.len());
    let body = html! {
        (card(None, &paragraph(&summary)))
        @for (supplier, products) in by_supplier {
            (card(Some(supplier), &order(sender, products)))
        }
    };
    let html = page(&summary, &format!("{} purchasing", sender.project), &title, &body, "Sent by Sluice");
    let mut lines = vec![title, String::new(), summary];
    for (supplier, products) in by_supplier {
        lines.extend([String::new(), (*supplier).to_owned()]);
        lines.extend(products.iter().map(|low| {
            let cost = money(&sender.currency, low.cost(), 2);
            format!(
                "  {:>6} x {} ({}), {cost}; {} left at {}",
                grouped(low.quantity, 0),
                low.name,
                low.sku,
                low.on_hand,
                low.places
            )
        }));
    }
    lines.push(String::new());
    Mail { html, text: lines.join("\n"), images: Vec::new() }
}

fn order(sender: &Sender, products: &[&Low]) -> Markup {
    let mut rows: Vec<Vec<Markup>> = products
        .iter()
        .map(|low| {
            let tone = if low.on_hand <= 0 { Tone::Bad } else { Tone::Warn };
            vec![
                html! { (low.name) " " (toned(Tone::Quiet, &low.sku)) },
                html! { (toned(tone, &grouped(low.on_hand, 0))) " of " (grouped(low.reorder_point, 0)) },
                html! { (low.places) },
                html! { (grouped(low.quantity, 0)) },
                html! { (money(&sender.currency, low.cost(), 2)) },
            ]
        })
        .collect();
    let sum: Decimal = products.iter().map(|low| low.cost()).sum();
    if products.len() > 1 {
        let nothing = || html! {};
        let sum = html! { b { (money(&sender.currency, sum, 2)) } };
        rows.push(vec![html! { b { "Order" } }, nothing(), nothing(), nothing(), sum]);
    }
    let contact = products.first().map(|low| {
        let days = if low.lead_time_days == 1 { "1 day".to_owned() } else { format!("{} days", low.lead_time_days) };
        if low.supplier_email.is_empty() {
            format!("Delivers in {days}")
        } else {
            format!("Delivers in {days} · {}", low.supplier_email)
        }
    });
    html! {
        @if let Some(contact) = contact {
            div style="font-size:13px;margin:-8px 0 12px;" { (toned(Tone::Quiet, &contact)) }
        }
        (figures(&["Product", "Left", "Where", "Order", "Cost"], &rows))
    }
}

/// For a chat.
pub(super) fn notice(sender: &Sender, found: &[Low]) -> Notice {
    let suppliers: std::collections::BTreeSet<_> = found.iter().map(|low| &low.supplier).collect();
    let mut worst: Vec<&Low> = found.iter().collect();
    worst.sort_by_key(|low| (low.on_hand - low.reorder_point, low.product_id));
    let mut lines: Vec<String> = worst
        .iter()
        .take(LISTED)
        .map(|low| {
            format!(
                "• {}: {} left, order {} from {}, {}",
                low.name,
                low.on_hand,
                grouped(low.quantity, 0),
                low.supplier,
                money(&sender.currency, low.cost(), 2)
            )
        })
        .collect();
    if found.len() > LISTED {
        lines.push(format!("and {} more", found.len() - LISTED));
    }
    Notice {
        severity: if found.iter().any(|low| low.on_hand <= 0) { "high" } else { "medium" }.to_owned(),
        title: subject(found.len()),
        text: format!("{}\n\n{}", summary(sender, found, suppliers.len()), lines.join("\n")),
        link: sender.web.clone(),
        ..Notice::default()
    }
}
