//! Who is told what runs do: a collector of `OpenLineage` events, one of OTLP traces.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;

use super::{authority, host_name};

/// Where `OpenLineage` events go.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// `http://marquez:5000`. Nobody is told without it.
    #[serde(default)]
    pub url: Option<String>,
    /// Path below `url` that takes events. Default: `api/v1/lineage`, as Marquez and the clients of `OpenLineage` have it.
    #[serde(default = "events")]
    pub endpoint: String,
    /// Namespace of the jobs. Default: the project's name.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Sent as `Authorization: Bearer …`.
    #[serde(default)]
    pub token: Option<SecretString>,
}

/// Where OTLP traces go; what is absent is taken from the environment's `OTEL_*`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// `http://collector:4318`; spans go to `/v1/traces` below it, as JSON.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Sent with each request.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretString>,
}

fn events() -> String {
    "api/v1/lineage".to_owned()
}

impl Lineage {
    pub(super) fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut problems: Vec<_> = self.url.iter().filter_map(|url| not_an_address("lineage.url", url)).collect();
        if self.namespace.as_ref().is_some_and(|namespace| namespace.trim().is_empty()) {
            let message = "the namespace is empty".to_owned();
            problems.push(("lineage.namespace".to_owned(), message, "leave it out for the project's name"));
        }
        problems
    }
}

impl Traces {
    pub(super) fn problems(&self) -> Vec<(String, String, &'static str)> {
        let endpoint = self.endpoint.iter().filter_map(|url| not_an_address("traces.endpoint", url));
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let names = self.headers.keys().filter(|name| name.is_empty() || !name.chars().all(token)).map(|name| {
            let message = format!("`{name}` is not the name of a header");
            ("traces.headers".to_owned(), message, "letters, digits and `-`: `x-api-key`")
        });
        endpoint.chain(names).collect()
    }
}

fn not_an_address(field: &str, url: &str) -> Option<(String, String, &'static str)> {
    // The address is shown and logged; whoever needs a password sends it in a header.
    let is_one = authority(url).and_then(host_name).is_some() && !url.contains(['?', '#']);
    let message = format!("`{url}` is not an address");
    (!is_one)
        .then(|| (field.to_owned(), message, "write `https://host` or `http://host:port`, with nothing secret in it"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use crate::project::Project;

    fn read(text: &str) -> Result<Project, Vec<crate::diagnostic::Diagnostic>> {
        let environment = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        Project::parse(&format!("project: p\n{text}\n"), environment)
    }

    #[test]
    fn who_is_told_is_said_in_a_line_and_nobody_is_where_a_variable_is_not_set() {
        let project = read("lineage: { url: 'http://marquez:5000', token: '${TOKEN}' }").expect("valid");
        assert!(!format!("{project:?}").contains("s3cret"), "{project:?}");
        let lineage = project.lineage.expect("lineage");
        assert_eq!(lineage.url.as_deref(), Some("http://marquez:5000"));
        assert_eq!(lineage.endpoint, "api/v1/lineage");
        assert_eq!(lineage.token.expect("a token").expose_secret(), "s3cret");
        assert!(read("lineage: { url: '${NOT_SET}' }").expect("valid").lineage.expect("lineage").url.is_none());
        let traces = read("traces: { endpoint: 'http://127.0.0.1:4318', headers: { x-api-key: '${TOKEN}' } }");
        assert_eq!(traces.expect("valid").traces.expect("traces").headers.len(), 1);
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line_and_what_to_write() {
        let fault = |text: &str| {
            let fault = read(text).expect_err("faulty").remove(0);
            (fault.field, fault.line, fault.message, fault.hint.unwrap_or_default())
        };
        let (field, line, message, hint) = fault("lineage:\n  namespace: shop\n  url: marquez:5000");
        assert_eq!((field.as_str(), line, message.as_str()), ("lineage.url", 4, "`marquez:5000` is not an address"));
        assert!(hint.contains("http://host:port"), "{hint}");
        assert_eq!(fault("lineage: { url: 'http://ada:pw@marquez' }").0, "lineage.url");
        assert_eq!(fault("lineage: { url: 'http://m', namespace: ' ' }").0, "lineage.namespace");
        let (field, line, message, _) = fault("traces:\n  endpoint: grpc://collector:4317");
        assert_eq!((field.as_str(), line), ("traces.endpoint", 3), "{message}");
        let (field, _, message, _) = fault("traces: { endpoint: 'http://c:4318', headers: { 'x api': a } }");
        assert_eq!((field.as_str(), message.as_str()), ("traces.headers", "`x api` is not the name of a header"));
        let (field, line, _, hint) = fault("lineage:\n  ur: http://m");
        assert_eq!((field.as_str(), line), ("lineage.ur", 3), "{hint}");
    }
}
