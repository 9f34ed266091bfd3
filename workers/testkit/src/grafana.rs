//! The queries of Grafana's dashboards, as Grafana sends them when somebody opens a page.

use std::{fs, path::Path};

use serde_json::Value;

/// One query of one panel.
#[derive(Debug)]
pub struct Query {
    /// `dashboard / panel`.
    pub place: String,
    /// The data source's uid.
    pub source: String,
    /// As it stands in the dashboard.
    pub text: String,
    /// The start of the span that the page shows at first, as SQL.
    from: String,
}

impl Query {
    /// The query over the span that its page shows at first.
    pub fn sql(&self) -> String {
        self.since(&self.from)
    }

    /// The query over a span that begins at an SQL expression.
    ///
    /// # Panics
    /// Where the query holds a macro that this does not know.
    pub fn since(&self, start: &str) -> String {
        const MACRO: &str = "$__timeFilter(";
        let (mut out, mut rest) = (String::new(), self.text.as_str());
        while let Some(at) = rest.find(MACRO) {
            let (column, after) = rest[at + MACRO.len()..].split_once(')').expect("a closed macro");
            out.push_str(&rest[..at]);
            out.push_str(&format!("{column} between {start} and now()"));
            rest = after;
        }
        out.push_str(rest);
        assert!(!out.contains("$__"), "a macro that this does not know: {out}");
        out
    }

    /// The query with the rate's span of a Prometheus that scrapes each second.
    pub fn promql(&self) -> String {
        self.text.replace("$__rate_interval", "1m")
    }
}

/// Every query of every dashboard in `grafana/dashboards`.
///
/// # Panics
/// Where a dashboard cannot be read.
pub fn queries() -> Vec<Query> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grafana/dashboards");
    let mut queries = Vec::new();
    for entry in fs::read_dir(folder).expect("grafana/dashboards") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        let from = start_of_span(dashboard["time"]["from"].as_str().expect("a span"));
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let text = target["rawSql"].as_str().or(target["expr"].as_str()).expect("a query");
                queries.push(Query {
                    place: format!("{} / {}", dashboard["title"], panel["title"]),
                    source: target["datasource"]["uid"].as_str().expect("a data source").to_owned(),
                    text: text.to_owned(),
                    from: from.clone(),
                });
            }
        }
    }
    queries
}

/// `now-24h` as SQL.
fn start_of_span(from: &str) -> String {
    let span = from.strip_prefix("now-").unwrap_or_else(|| panic!("a span that this does not know: {from}"));
    format!("now() - interval '{span}'")
}
