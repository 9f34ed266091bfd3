//! The daily report as a mail and as a short message.

use maud::{Markup, html};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use warehouse::outbox::Notice;

use super::{
    charts,
    data::{DailySales, Gate},
};
use crate::{
    letter::{Tone, card, figures, light, page, paragraph, text, toned},
    wording::{grouped, money},
};

/// What the report is of, and for whom.
pub(crate) struct Shop<'a> {
    pub(crate) name: &'a str,
    pub(crate) currency: &'a str,
    pub(crate) web: Option<&'a str>,
}

impl Shop<'_> {
    fn money(&self, amount: Decimal, decimals: u32) -> String {
        money(self.currency, amount, decimals)
    }
}

/// The change from `before` in per cent; none where there was nothing before.
fn change(now: Decimal, before: Decimal) -> Option<f64> {
    let before = before.to_f64().filter(|before| *before > 0.0)?;
    Some((now.to_f64()? / before - 1.0) * 100.0)
}

fn change_text(now: Decimal, before: Decimal) -> String {
    match change(now, before) {
        Some(percent) if percent.abs() < 0.5 => "±0 %".to_owned(),
        Some(percent) if percent >= 999.5 => "more than tenfold".to_owned(),
        Some(percent) if percent < 0.0 => format!("−{:.0} %", -percent),
        Some(percent) => format!("+{percent:.0} %"),
        None => "new".to_owned(),
    }
}

fn change_mark(now: Decimal, before: Decimal) -> Markup {
    let tone = match change(now, before) {
        Some(percent) if percent >= 0.5 => Tone::Good,
        Some(percent) if percent <= -0.5 => Tone::Bad,
        _ => Tone::Quiet,
    };
    toned(tone, &change_text(now, before))
}

/// `Friday 20 November 2026`.
pub(crate) fn long_date(report: &DailySales) -> String {
    report.date.format("%A %-d %B %Y").to_string()
}

/// The subject.
pub(crate) fn subject(shop: &Shop<'_>, report: &DailySales) -> String {
    let totals = &report.totals;
    let trend = if totals.revenue_before > Decimal::ZERO {
        format!(" ({})", change_text(totals.revenue, totals.revenue_before))
    } else {
        String::new()
    };
    format!(
        "{}: {}{trend} and {} orders on {}",
        shop.name,
        shop.money(totals.revenue, 0),
        grouped(totals.orders, 0),
        report.date.format("%A")
    )
}

/// The HTML part. It shows `cid:trend-day`, `trend-night`, `departments-day` and `departments-night`.
pub(crate) fn mail(shop: &Shop<'_>, report: &DailySales) -> String {
    let body = html! {
        (card(None, &headline(shop, report)))
        (card(Some("Revenue, last 15 days"), &picture("trend", "Revenue by day", charts::TREND_HEIGHT)))
        @if !report.departments.is_empty() {
            (card(Some("By department, with the week before"), &picture(
                "departments", "Revenue by department", charts::departments_height(report.departments.len()))))
        }
        (card(Some("Top products"), &products(shop, report)))
        (card(Some("Data quality"), &quality(report)))
        (card(Some("Open alerts"), &alerts(report)))
    };
    let foot = match shop.web {
        Some(web) => format!("Sent by Sluice · {web} · revenue is what was ordered less what came back"),
        None => "Sent by Sluice · revenue is what was ordered less what came back".to_owned(),
    };
    page(&subject(shop, report), &format!("{} daily sales", shop.name), &long_date(report), &body, &foot)
}

fn headline(shop: &Shop<'_>, report: &DailySales) -> Markup {
    let totals = &report.totals;
    let units = Decimal::from(totals.units);
    let before = Decimal::from(totals.units_before);
    html! {
        table role="presentation" width="100%" cellpadding="0" cellspacing="0" { tr {
            (figure("Revenue", &shop.money(totals.revenue, 0), &change_mark(totals.revenue, totals.revenue_before)))
            (figure("Orders", &grouped(totals.orders, 0), &change_mark(totals.orders.into(), totals.orders_before.into())))
            (figure("Average order", &shop.money(totals.average_order_value, 2),
                &change_mark(totals.average_order_value, totals.average_order_value_before)))
            (figure("Items sold", &grouped(totals.units, 0), &change_mark(units, before)))
        } }
        p.quiet style=(text(13, light::QUIET, "margin:16px 0 0;line-height:1.5;")) {
            (facts(shop, report))
        }
    }
}

fn facts(shop: &Shop<'_>, report: &DailySales) -> String {
    let totals = &report.totals;
    format!(
        "{} customers bought, {} of them for the first time. Gross margin {}, returns {}, {} cancelled orders. Changes \
         are against {} of the week before.",
        grouped(totals.customers, 0),
        grouped(totals.new_customers, 0),
        shop.money(totals.margin, 0),
        shop.money(totals.returned_revenue, 0),
        grouped(totals.cancelled_orders, 0),
        report.date.format("%A"),
    )
}

fn figure(name: &str, value: &str, change: &Markup) -> Markup {
    html! {
        td.figure valign="top" style="width:25%;padding:0 8px 0 0;" {
            div.quiet style=(text(13, light::QUIET, "")) { (name) }
            div.text style=(text(23, light::TEXT, "font-weight:650;letter-spacing:-.01em;padding:2px 0;white-space:nowrap;")) { (value) }
            div style="font-size:13px;" { (change) }
        }
    }
}

fn picture(name: &str, alt: &str, height: u32) -> Markup {
    let image = |theme: &str, hidden: &str| {
        html! {
            img class=(theme) src=(format!("cid:{name}-{theme}")) alt=(alt) width=(charts::WIDTH / 2)
                height=(height / 2) style=(format!("{hidden}width:100%;max-width:{}px;height:auto;border:0;", charts::WIDTH / 2));
        }
    };
    html! { (image("day", "display:block;")) (image("night", "display:none;")) }
}

fn products(shop: &Shop<'_>, report: &DailySales) -> Markup {
    if report.products.is_empty() {
        return paragraph("Nothing was sold.");
    }
    let rows: Vec<Vec<Markup>> = report
        .products
        .iter()
        .map(|product| {
            vec![
                html! { (product.name) " " span.quiet style=(text(13, light::QUIET, "")) { (product.category) } },
                html! { (grouped(product.units, 0)) },
                html! { (shop.money(product.revenue, 0)) },
                change_mark(product.revenue, product.revenue_before),
            ]
        })
        .collect();
    figures(&["Product", "Sold", "Revenue", "Week before"], &rows)
}

fn quality(report: &DailySales) -> Markup {
    if report.gates.is_empty() {
        return paragraph("Nothing was loaded in the day before this report.");
    }
    let rows: Vec<Vec<Markup>> = report
        .gates
        .iter()
        .filter(|gate| gate.failed || gate.quarantined > 0)
        .take(8)
        .map(|gate| {
            let verdict = if gate.failed { toned(Tone::Bad, "refused") } else { toned(Tone::Warn, "held back") };
            vec![
                html! { (gate.dataset) },
                html! { (grouped(gate.read, 0)) },
                html! { (grouped(gate.quarantined, 0)) },
                html! { (share(gate)) },
                verdict,
            ]
        })
        .collect();
    let rules: Vec<Vec<Markup>> = report
        .rules
        .iter()
        .map(|rule| {
            vec![html! { (rule.rule) " " (toned(Tone::Quiet, &rule.dataset)) }, html! { (grouped(rule.rows, 0)) }]
        })
        .collect();
    html! {
        (paragraph(&quality_line(&report.gates)))
        @if !rows.is_empty() {
            div style="height:14px;line-height:14px;" { " " }
            (figures(&["Dataset", "Read", "Held back", "Share", "Gate"], &rows))
        }
        @if !rules.is_empty() {
            div style="height:18px;line-height:18px;" { " " }
            (figures(&["Rules broken most", "Rows"], &rules))
        }
    }
}

fn share(gate: &Gate) -> String {
    format!("{:.1} %", gate.quarantined as f64 / gate.read.max(1) as f64 * 100.0)
}

fn quality_line(gates: &[Gate]) -> String {
    let sum = |of: fn(&Gate) -> i64| gates.iter().map(of).sum::<i64>();
    format!(
        "{} rows were read for {} datasets: {} loaded, {} quarantined, {} deduplicated.",
        grouped(sum(|gate| gate.read), 0),
        gates.len(),
        grouped(sum(|gate| gate.loaded), 0),
        grouped(sum(|gate| gate.quarantined), 0),
        grouped(sum(|gate| gate.deduplicated), 0),
    )
}

fn alerts(report: &DailySales) -> Markup {
    if report.alerts.is_empty() {
        return paragraph("None.");
    }
    let rows: Vec<Vec<Markup>> = report
        .alerts
        .iter()
        .map(|alerts| {
            let tone = match alerts.severity.as_str() {
                "critical" | "high" => Tone::Bad,
                "medium" => Tone::Warn,
                _ => Tone::Quiet,
            };
            vec![
                html! {
                    (alerts.rule) " " (toned(Tone::Quiet, &alerts.source))
                    div.quiet style=(text(13, light::QUIET, "padding-top:2px;")) { (alerts.newest) }
                },
                html! { (grouped(alerts.alerts, 0)) },
                toned(tone, &alerts.severity),
            ]
        })
        .collect();
    figures(&["Rule, and the newest alert", "Open", "Severity"], &rows)
}

/// The plain-text part.
pub(crate) fn plain(shop: &Shop<'_>, report: &DailySales) -> String {
    let totals = &report.totals;
    let mut lines = vec![
        format!("{} daily sales, {}", shop.name, long_date(report)),
        String::new(),
        format!(
            "Revenue        {} ({})",
            shop.money(totals.revenue, 2),
            change_text(totals.revenue, totals.revenue_before)
        ),
        format!(
            "Orders         {} ({})",
            grouped(totals.orders, 0),
            change_text(totals.orders.into(), totals.orders_before.into())
        ),
        format!(
            "Average order  {} ({})",
            shop.money(totals.average_order_value, 2),
            change_text(totals.average_order_value, totals.average_order_value_before)
        ),
        String::new(),
        facts(shop, report),
        String::new(),
        "BY DEPARTMENT".to_owned(),
    ];
    lines.extend(report.departments.iter().map(|d| {
        let change = change_text(d.revenue, d.revenue_before);
        format!("{:<14} {:>14}  {} items, {change}", d.name, shop.money(d.revenue, 2), grouped(d.units, 0))
    }));
    lines.extend([String::new(), "TOP PRODUCTS".to_owned()]);
    lines.extend(report.products.iter().map(|p| {
        format!("{:>14}  {} ({}), {} sold", shop.money(p.revenue, 2), p.name, p.category, grouped(p.units, 0))
    }));
    lines.extend([String::new(), "DATA QUALITY".to_owned(), quality_line(&report.gates)]);
    lines.extend(report.rules.iter().map(|r| format!("{:>7}  {} in {}", grouped(r.rows, 0), r.rule, r.dataset)));
    lines.extend([String::new(), "OPEN ALERTS".to_owned()]);
    if report.alerts.is_empty() {
        lines.push("None.".to_owned());
    }
    lines.extend(report.alerts.iter().map(|a| {
        format!(
            "{} x {} ({}, {}), newest {}: {}",
            a.alerts,
            a.rule,
            a.source,
            a.severity,
            a.raised_at.format("%d %b %H:%M"),
            a.newest
        )
    }));
    lines.push(String::new());
    lines.join("\n")
}

/// The report for a chat channel.
pub(crate) fn notice(shop: &Shop<'_>, report: &DailySales) -> Notice {
    let totals = &report.totals;
    let top = report.products.iter().map(|p| format!("• {}, {}", p.name, shop.money(p.revenue, 0)));
    let with_change = |value: String, now, before| format!("{value} ({})", change_text(now, before));
    let open: i64 = report.alerts.iter().map(|alerts| alerts.alerts).sum();
    Notice {
        severity: "info".to_owned(),
        title: subject(shop, report),
        text: format!("{}\n\nTop products\n{}", facts(shop, report), top.collect::<Vec<_>>().join("\n")),
        fields: vec![
            ("Revenue".to_owned(), with_change(shop.money(totals.revenue, 2), totals.revenue, totals.revenue_before)),
            (
                "Orders".to_owned(),
                with_change(grouped(totals.orders, 0), totals.orders.into(), totals.orders_before.into()),
            ),
            ("Data quality".to_owned(), quality_line(&report.gates)),
            ("Open alerts".to_owned(), grouped(open, 0)),
        ],
        link: shop.web.map(str::to_owned),
        ..Notice::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_from_nothing_is_new() {
        assert_eq!(change_text(Decimal::ONE, Decimal::ZERO), "new");
        assert_eq!(change_text(Decimal::from(90), Decimal::from(100)), "−10 %");
        assert_eq!(change_text(Decimal::from(1_001), Decimal::from(1_000)), "±0 %");
    }
}
