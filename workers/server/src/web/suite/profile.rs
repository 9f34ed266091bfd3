//! What the columns of the latest batch look like.

use maud::{Markup, html};
use serde_json::Value;

use super::plain;
use crate::{
    store::suites::{DatasetView, Series},
    web::{
        charts::line,
        format::{count, number},
        parts,
    },
};

/// The profile of a dataset, where one is kept.
pub(super) fn card(dataset: &DatasetView) -> Markup {
    let columns: Vec<&Series> = dataset.series.iter().filter(|series| !series.column.is_empty()).collect();
    html! {
        @if !columns.is_empty() {
            (parts::card("Columns of the latest batch", html! { (columns.len()) " profiled" }, html! {
                div.scroll {
                    table.profile {
                        thead { tr {
                            th { "Column" } th.end { "Null" } th { "Trend" } th.end { "Distinct" } th.end { "Least" } th.end { "Mean" } th { "Trend" }
                            th.end { "Greatest" } th { "Most common" }
                        } }
                        tbody {
                            @for series in columns { (row(series)) }
                        }
                    }
                }
            }))
        }
    }
}

fn row(series: &Series) -> Markup {
    let metrics = &series.metrics;
    let past =
        |metric: &str| series.points.iter().filter_map(|batch| batch.metrics[metric].as_f64()).collect::<Vec<_>>();
    let top = metrics["top"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        tr {
            td { span.strong { (series.column) } div.sub { (plain(&metrics["type"])) } }
            td.num { (share(&metrics["null_share"])) }
            td { (line(&past("null_share"))) }
            td.num { @if metrics["approximate"] == true { "~" } (metrics["distinct"].as_i64().map(count).unwrap_or_default()) }
            td.num { (value(&metrics["min"])) }
            td.num { (value(&metrics["mean"])) }
            td { (line(&past("mean"))) }
            td.num { (value(&metrics["max"])) }
            td { @for common in top.iter().take(3) {
                span.chip { (plain(&common["value"])) " ×" (common["count"].as_i64().map(count).unwrap_or_default()) }
            } }
        }
    }
}

fn share(value: &Value) -> String {
    match value.as_f64() {
        Some(share) if share > 0.0 && share < 0.0001 => "< 0.01 %".to_owned(),
        Some(share) => format!("{} %", number(share * 100.0)),
        None => String::new(),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Number(found) => found.as_f64().map(number).unwrap_or_default(),
        other => plain(other).chars().take(24).collect(),
    }
}
