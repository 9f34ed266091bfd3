//! Small charts: how many rows there were, how many were held back, and each number that anomalies watch.

use maud::{Markup, html};
use quality::ANOMALY;

use super::checks::Defined;
use crate::{
    store::suites::{Batch, DatasetView},
    web::{
        charts::{Mark, trend},
        parts,
    },
};

/// One chart.
struct Trend {
    title: String,
    is_share: bool,
    marks: Vec<Mark>,
    /// Within which the latest value was expected.
    band: Option<(Option<f64>, Option<f64>)>,
}

/// The trends of a dataset, where it has batches.
pub(super) fn card(defined: &[Defined<'_>], dataset: &DatasetView) -> Markup {
    let mut trends = Vec::new();
    for (metric, title) in [("row_count", "rows"), ("failed_share", "share of rows held back")] {
        trends.push(of(dataset, "", metric, title.to_owned()));
    }
    for check in defined.iter().filter(|check| check.expectation == ANOMALY) {
        let (column, metric) = (check.text("column").unwrap_or_default(), check.text("metric"));
        let key = metric.map_or_else(|| format!("sql.{}", check.id), str::to_owned);
        let title =
            if column.is_empty() { check.id.to_owned() } else { format!("{} of {column}", metric.unwrap_or("")) };
        let line = dataset.checks.iter().find(|line| line.check_id == check.id);
        let bound = |name: &str| line.and_then(|line| line.observed[name].as_f64());
        let band = (bound("low"), bound("high"));
        // What is drawn anyway gets the band alone.
        let drawn = trends.iter_mut().flatten().find(|trend| column.is_empty() && trend.title == own_title(&key));
        match drawn {
            Some(trend) => trend.band = Some(band),
            None => trends.push(of(dataset, column, &key, title).map(|trend| Trend { band: Some(band), ..trend })),
        }
    }
    let trends: Vec<Trend> = trends.into_iter().flatten().collect();
    html! {
        @if !trends.is_empty() {
            (parts::card("Trends", html! { "by the day of the data, the last " (trends[0].marks.len()) " batches" }, html! {
                div.trends {
                    @for chart in &trends {
                        figure.spark {
                            figcaption { (chart.title) }
                            (trend(&chart.title, &chart.marks, chart.band, chart.is_share))
                        }
                    }
                }
            }))
        }
    }
}

fn own_title(key: &str) -> &str {
    match key {
        "row_count" => "rows",
        "failed_share" => "share of rows held back",
        other => other,
    }
}

/// The trend of a number; nothing where two batches do not have it.
fn of(dataset: &DatasetView, column: &str, metric: &str, title: String) -> Option<Trend> {
    let series = dataset.series.iter().find(|series| series.column == column)?;
    let mark = |batch: &Batch| {
        let value = batch.metrics[metric].as_f64()?;
        Some(Mark { day: batch.day, value, refused: batch.refused })
    };
    let marks: Vec<Mark> = series.points.iter().filter_map(mark).collect();
    (marks.len() > 1).then(|| Trend { title, is_share: metric.ends_with("_share"), marks, band: None })
}
