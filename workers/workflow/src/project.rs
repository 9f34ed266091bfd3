//! `sluice.yaml`: what a project is called, where its services are, and whom it tells.
//!
//! Reading it touches neither the environment nor the disk: `${NAME}` is resolved by a lookup that the caller
//! hands in, and a service without a URL means the private local one.

mod channel;
mod trail;

use std::{collections::BTreeMap, num::NonZeroU16, path::PathBuf};

use chrono_tz::Tz;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

pub use self::{
    channel::{Channel, Rate},
    trail::{Lineage, Traces},
};
use crate::{diagnostic::Diagnostic, span::Span, yaml::Document};

/// A project's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its name: shown on the web page and in mails.
    pub project: String,
    /// The shop's own time zone; a DAG may have another.
    #[serde(default = "utc")]
    pub timezone: Tz,
    /// ISO 4217 code of the money that reports show.
    #[serde(default = "euro")]
    pub currency: String,
    /// Services that are not the private local ones.
    #[serde(default)]
    pub services: Services,
    /// Where Parquet files go: a folder, or `s3://bucket/prefix`. Default: `.sluice/lake`.
    #[serde(default)]
    pub lake: Option<String>,
    /// How a lake at `s3://` is reached.
    #[serde(default)]
    pub s3: S3,
    /// Where the web page listens.
    #[serde(default)]
    pub web: Web,
    /// How mail is sent; without it mails land in `.sluice/outbox/`.
    #[serde(default)]
    pub smtp: Option<Smtp>,
    /// Who can be told, by name.
    #[serde(default)]
    pub channels: BTreeMap<String, Channel>,
    /// Secrets of webhooks, by name: a request to `/hooks/NAME` is signed with it.
    #[serde(default)]
    pub webhooks: BTreeMap<String, SecretString>,
    /// How many tasks of a pool may be ready or running at once, by the pool's name.
    #[serde(default)]
    pub pools: BTreeMap<String, NonZeroU16>,
    /// How long runs are kept, and where.
    #[serde(default)]
    pub retention: Retention,
    /// Who gets `OpenLineage` events of what runs do.
    #[serde(default)]
    pub lineage: Option<Lineage>,
    /// Who gets traces of runs.
    #[serde(default)]
    pub traces: Option<Traces>,
}

/// How long runs are kept, and where.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How long after its end a run goes to the archive, where it can be read and is not changed any more: an hour or more.
    /// Default: 30 days. The latest runs of each DAG stay.
    #[serde(default = "month")]
    pub archive_after: Span,
    /// How long archived runs are kept: whole months that are older than this are dropped. Default: for ever.
    #[serde(default)]
    pub runs: Option<Span>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { archive_after: month(), runs: None }
    }
}

impl Retention {
    /// How soon a run may go to the archive: what makes runs does not look there for instants as late as that.
    const SOONEST: Span = Span::from_secs(3600);

    fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut problems = Vec::new();
        if self.archive_after < Self::SOONEST {
            let message = format!("{} is too soon: runs stay for {} at least", self.archive_after, Self::SOONEST);
            problems.push(("retention.archive_after".to_owned(), message, "write for example `7d`"));
        }
        if let Some(runs) = self.runs.filter(|runs| *runs < self.archive_after) {
            let message = format!("{runs} is less than the {} after which runs are archived", self.archive_after);
            problems.push((
                "retention.runs".to_owned(),
                message,
                "keep runs for longer, or archive them sooner with `archive_after`",
            ));
        }
        problems
    }
}

/// URLs of services; one that is absent is the private local one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// `postgres://user:password@host:port/database`: Sluice's tables and the warehouse.
    #[serde(default)]
    pub postgres: Option<SecretString>,
    /// `mysql://user:password@host:port/database`: the shop.
    #[serde(default)]
    pub mysql: Option<SecretString>,
    /// `host:port[,host:port…]`.
    #[serde(default)]
    pub kafka: Option<String>,
}

/// How a lake at `s3://` is reached; what is absent is taken from the environment's `AWS_*`, as AWS' own tools do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// `https://minio.shop.example:9000`; absent for AWS itself.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Region of the bucket. Default: `us-east-1`, which servers other than AWS take.
    #[serde(default)]
    pub region: Option<String>,
    /// Id of the access key; without one, the machine's own role at AWS.
    #[serde(default)]
    pub access_key: Option<SecretString>,
    /// The secret that goes with it.
    #[serde(default)]
    pub secret_key: Option<SecretString>,
    /// Whether an `http://` endpoint will do, where everybody on the way can read the data.
    #[serde(default)]
    pub allow_http: bool,
    /// A PEM file of authorities whose certificates are trusted beside those that the system trusts.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

impl S3 {
    fn problems(&self, lake: Option<&str>) -> Vec<(String, String, &'static str)> {
        let mut problems = Vec::new();
        match lake.and_then(|lake| Some((lake, lake.split_once("://")?))) {
            None | Some((_, ("file", _))) => {}
            Some((lake, ("s3", bucket))) => {
                if bucket.split('/').next().is_none_or(str::is_empty) {
                    problems.push((
                        "lake".to_owned(),
                        format!("`{lake}` names no bucket"),
                        "write `s3://bucket/prefix`",
                    ));
                }
            }
            Some((lake, _)) => {
                let message = format!("`{lake}` is no place for a lake");
                problems.push(("lake".to_owned(), message, "write a folder, or `s3://bucket/prefix`"));
            }
        }
        if let Some(endpoint) = &self.endpoint {
            let field = "s3.endpoint".to_owned();
            if authority(endpoint).and_then(host_name).is_none() {
                let message = format!("`{endpoint}` is not an address");
                problems.push((field, message, "write `https://host` or `https://host:port`"));
            } else if endpoint.starts_with("http://") && !self.allow_http {
                let message = format!("`{endpoint}` is not encrypted");
                problems.push((field, message, "write `https://…`, or add `allow_http: true`"));
            }
        }
        if self.access_key.is_some() != self.secret_key.is_some() {
            let (set, absent) = if self.access_key.is_some() { ("access", "secret") } else { ("secret", "access") };
            let message = format!("there is an `{set}_key` without the `{absent}_key` that goes with it");
            problems.push(("s3".to_owned(), message, "set both, or neither"));
        }
        problems
    }
}

/// Where the web page listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// Address; loopback unless someone decides otherwise.
    #[serde(default = "loopback")]
    pub host: String,
    /// Port. A taken one is an error, except for the demo, which steps on.
    #[serde(default = "web_port")]
    pub port: u16,
    /// Names that it answers as besides `localhost` and loopback addresses: what people type and Prometheus scrapes,
    /// without a port. A request for any other name is refused, as another site may have pointed that name here.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// How people reach it, for the links in mails: `https://sluice.shop.example`. Its name is answered to as well.
    #[serde(default)]
    pub public_url: Option<String>,
    /// How Sluice's own tasks reach it, where that is not where it listens.
    #[serde(default)]
    pub internal_url: Option<String>,
    /// Who may read `/metrics`: everyone who reaches it, or whoever has a token.
    #[serde(default)]
    pub metrics: Metrics,
    /// Whether it serves the demo's product ratings at `/demo/ratings`.
    #[serde(default)]
    pub demo: bool,
}

/// Who may read the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metrics {
    /// Everyone who reaches the server.
    #[default]
    Open,
    /// Whoever has a token, where the API asks for one.
    Token,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            host: loopback(),
            port: web_port(),
            hosts: Vec::new(),
            public_url: None,
            internal_url: None,
            metrics: Metrics::default(),
            demo: false,
        }
    }
}

impl Web {
    /// Every name that it answers as besides the loopback ones.
    pub fn names(&self) -> Vec<String> {
        let public = self.public_url.as_deref().and_then(|url| host_name(authority(url)?));
        self.hosts.iter().map(String::as_str).chain(public).map(str::to_owned).collect()
    }

    fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut problems = Vec::new();
        for (index, host) in self.hosts.iter().enumerate() {
            if host_name(host) != Some(host) {
                let message = format!("`{host}` is not a host name");
                problems.push((format!("web.hosts[{index}]"), message, "write the name alone: `sluice.shop.example`"));
            }
        }
        for (field, url) in [("web.public_url", &self.public_url), ("web.internal_url", &self.internal_url)] {
            if let Some(url) = url
                && authority(url).and_then(host_name).is_none()
            {
                let message = format!("`{url}` is not an address");
                problems.push((field.to_owned(), message, "write `https://host` or `http://host:port`"));
            }
        }
        problems
    }
}

/// The name in `name:port` or `[address]:port`, as the `Host` header of a request has it.
pub fn host_name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.find(':').map_or((host, ""), |colon| host.split_at(colon)),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let port_is_one = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    (!name.is_empty() && name.chars().all(plain) && port_is_one).then_some(name)
}

/// `host:port` of `http://host:port/…`.
fn authority(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    rest.split('/').next()
}

/// How mail is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// `smtps://user:password@host` (TLS from the start, port 465), `smtp://user:password@host?tls=required` (TLS by
    /// STARTTLS, port 587, and no mail without it) or `smtp://host` (in the clear, port 25); another port as `host:port`.
    pub url: SecretString,
    /// A PEM file of authorities whose certificates are trusted beside those that the system trusts.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The sender: `Sluice <sluice@shop.example>`.
    pub from: String,
}

impl Project {
    /// Reads `sluice.yaml`. `lookup` gives the values of `${NAME}`; a name that it does not know makes the
    /// field absent if the field is nothing but that name, and is a fault elsewhere.
    pub fn parse(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<Diagnostic>> {
        let mut document = Document::parse("sluice.yaml", text).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        let mut value = std::mem::take(&mut document.value);
        resolve(&mut value, "", &lookup, &mut |field, name| {
            faults.push(document.diagnostic(
                field,
                format!("`${{{name}}}` is not set in the environment"),
                Some(format!("export {name}=…, or write the value")),
            ));
        });
        document.value = value;
        match document.read::<Self>() {
            Ok(project) => {
                let problems = project.web.problems().into_iter();
                let problems = problems.chain(project.s3.problems(project.lake.as_deref()));
                let problems = problems.chain(project.retention.problems());
                let problems = problems.chain(project.lineage.iter().flat_map(Lineage::problems));
                let problems = problems.chain(project.traces.iter().flat_map(Traces::problems));
                faults.extend(problems.map(|(at, what, hint)| document.diagnostic(&at, what, Some(hint.to_owned()))));
                if faults.is_empty() { Ok(project) } else { Err(faults) }
            }
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
    }
}

fn resolve(
    value: &mut Value,
    path: &str,
    lookup: &impl Fn(&str) -> Option<String>,
    fault: &mut impl FnMut(&str, &str),
) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("${").and_then(|t| t.strip_suffix('}'))
                && !name.contains("${")
            {
                *value = lookup(name).filter(|found| !found.is_empty()).map_or(Value::Null, Value::String);
                return;
            }
            let mut from = 0;
            while let Some(start) = text[from..].find("${").map(|found| from + found) {
                let Some(length) = text[start..].find('}') else { return };
                let name = text[start + 2..start + length].to_owned();
                let Some(found) = lookup(&name) else { return fault(path, &name) };
                text.replace_range(start..=start + length, &found);
                from = start + found.len();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                resolve(item, &format!("{path}[{index}]"), lookup, fault);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                resolve(item, &crate::yaml::join(path, key), lookup, fault);
            }
        }
        _ => {}
    }
}

fn utc() -> Tz {
    Tz::UTC
}

fn euro() -> String {
    "EUR".to_owned()
}

fn month() -> Span {
    Span::from_secs(30 * 24 * 3600)
}

fn loopback() -> String {
    std::net::Ipv4Addr::LOCALHOST.to_string()
}

fn web_port() -> u16 {
    8180
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "PASSWORD" => Some("a${PASSWORD}b".to_owned()),
            "HOOK" => Some("https://hooks.example/1".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_name_alone_makes_the_field_absent_and_a_name_within_is_a_fault() {
        let text = "project: p\nservices:\n  postgres: ${NOT_SET}\n  mysql: mysql://u:${PASSWORD}@h/d\n";
        let project = Project::parse(text, environment).expect("valid");
        assert!(project.services.postgres.is_none());
        let url = project.services.mysql.expect("set");
        assert_eq!(url.expose_secret(), "mysql://u:a${PASSWORD}b@h/d", "a value is not read for names again");
        let faults = Project::parse("project: p\nlake: s3://${BUCKET}/x\n", environment).expect_err("not set");
        assert_eq!(faults[0].line, 2, "{faults:?}");
    }

    #[test]
    fn the_page_answers_as_the_names_that_it_is_given() {
        let web = |text: &str| Project::parse(&format!("project: p\nweb: {{ {text} }}\n"), environment);
        let names = |text| web(text).expect("valid").web.names();
        assert_eq!(names("host: 0.0.0.0"), [""; 0]);
        assert_eq!(
            names("hosts: [server, 10.0.0.5], public_url: 'https://sluice.shop.example/page'"),
            ["server", "10.0.0.5", "sluice.shop.example"]
        );
        assert_eq!(names("public_url: 'http://[fd00::1]:8180'"), ["fd00::1"]);
        let faults = |text| web(text).expect_err("faulty").into_iter().map(|fault| fault.field).collect::<Vec<_>>();
        assert_eq!(faults("hosts: [ok, 'a:8180', 'http://b']"), ["web.hosts[1]", "web.hosts[2]"]);
        assert_eq!(faults("public_url: sluice.shop.example"), ["web.public_url"]);
        assert_eq!(faults("internal_url: 'ftp://server'"), ["web.internal_url"]);
    }

    #[test]
    fn a_bucket_is_named_whole_and_reached_in_the_clear_only_where_that_is_said() {
        let read = |text: &str| Project::parse(&format!("project: p\n{text}\n"), environment);
        let faults = |text: &str| {
            let faults = read(text).expect_err("faulty").into_iter();
            faults.map(|fault| (fault.field, fault.line, fault.message)).collect::<Vec<_>>()
        };
        let fault = |field: &str, line, message: &str| vec![(field.to_owned(), line, message.to_owned())];
        for lake in ["lake: var/lake", "lake: file:///var/lake", "lake: s3://b", "lake: s3://b/c"] {
            read(lake).expect(lake);
        }
        read("lake: s3://b\ns3: { endpoint: 'https://minio:9000', access_key: a, secret_key: b }").expect("valid");
        read("lake: s3://b\ns3: { endpoint: 'http://minio:9000', allow_http: true }").expect("valid");
        assert_eq!(faults("lake: s3://"), fault("lake", 2, "`s3://` names no bucket"));
        assert_eq!(faults("lake: gs://b"), fault("lake", 2, "`gs://b` is no place for a lake"));
        let plain = faults("s3:\n  region: eu-west-1\n  endpoint: http://minio:9000");
        assert_eq!(plain, fault("s3.endpoint", 4, "`http://minio:9000` is not encrypted"));
        assert_eq!(faults("s3: { endpoint: 'minio:9000' }"), fault("s3.endpoint", 2, "`minio:9000` is not an address"));
        let alone = "there is an `access_key` without the `secret_key` that goes with it";
        assert_eq!(faults("s3: { access_key: a, secret_key: '${NOT_SET}' }"), fault("s3", 2, alone));
    }

    #[test]
    fn runs_stay_for_an_hour_and_until_they_are_archived() {
        let read = |text: &str| Project::parse(&format!("project: p\n{text}\n"), environment);
        let faults = |text: &str| {
            let faults = read(text).expect_err("faulty").into_iter();
            faults.map(|fault| (fault.field, fault.line, fault.message)).collect::<Vec<_>>()
        };
        let kept = read("").expect("valid").retention;
        assert_eq!((kept.archive_after.to_string(), kept.runs), ("4w2d".to_owned(), None));
        let kept = read("retention: { archive_after: 7d, runs: 365d }").expect("valid").retention;
        assert_eq!(
            (kept.archive_after.to_string(), kept.runs.expect("set").to_string()),
            ("1w".into(), "52w1d".into())
        );
        let soon = faults("retention:\n  runs: 1d\n  archive_after: 59m");
        let message = "59m is too soon: runs stay for 1h at least".to_owned();
        assert_eq!(soon, [("retention.archive_after".to_owned(), 4, message)]);
        let message = "2d is less than the 1w after which runs are archived".to_owned();
        let short = faults("retention: { archive_after: 7d, runs: 2d }");
        assert_eq!(short, [("retention.runs".to_owned(), 2, message)]);
        assert_eq!(faults("retention: { logs: 2d }").len(), 1);
        assert_eq!(faults("retention: { runs: for ever }").len(), 1);
    }

    #[test]
    fn channels_have_their_kinds_and_limits() {
        let read = |channel: &str| Project::parse(&format!("project: p\nchannels:\n  x: {channel}\n"), environment);
        let channel = |text: &str| read(text).expect(text).channels.remove("x").expect("there");
        let limited = channel("{ kind: mail, to: [a@b.example], at_most: 10/min }");
        assert_eq!(limited.at_most().expect("a limit").to_string(), "10 in 1m");
        let alertmanager = channel("{ kind: alertmanager, url: 'http://127.0.0.1:9093' }");
        assert!(alertmanager.settles() && alertmanager.at_most().is_none());
        assert!(channel("{ kind: webhook, url: '${NOT_SET}', secret: '${HOOK}' }").settles());
        let faults = read("{ kind: slack, at_most: often }").expect_err("faulty");
        assert!(faults[0].message.contains("`often` is not a rate") && faults[0].line == 3, "{faults:?}");
    }

    #[test]
    fn a_secret_cannot_be_printed() {
        let text = "project: p\nchannels: { a: { kind: slack, webhook: \"${HOOK}\" } }\n";
        let project = Project::parse(text, environment).expect("valid");
        assert!(!format!("{project:?}").contains("hooks.example"), "{project:?}");
    }
}
