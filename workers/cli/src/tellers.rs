//! Who is told what this project's runs do, by `sluice.yaml` and by the variables that `OpenTelemetry` has for it.

use std::collections::BTreeMap;

use secrecy::SecretString;
use services::Service;
use sqlx::PgPool;
use tasks::trail::{Places, Teller, TellerError, Told};
use tokio_util::sync::CancellationToken;
use workflow::{kind::Registry, project::Traces};

use crate::{context::Context, exit::Failure};

/// Those who tell, one for each who wants to know.
pub(crate) struct Tellers(Vec<Teller>);

impl Tellers {
    /// Reads the settings, and sets the mark where this database is told of for the first time.
    pub(crate) async fn new(ctx: &Context, pool: &PgPool, registry: &Registry) -> anyhow::Result<Self> {
        let mut tellers = Vec::new();
        for told in told(ctx)? {
            let teller = Teller::new(pool.clone(), registry.clone(), told).map_err(|error| match error {
                TellerError::Header(_) => anyhow::Error::from(Failure::usage(error.to_string())),
                other @ TellerError::Http(_) => other.into(),
            })?;
            teller.open().await?;
            tellers.push(teller);
        }
        Ok(Self(tellers))
    }

    /// Tells until `cancel`, and then what there is to tell at that moment.
    pub(crate) async fn run(&self, cancel: &CancellationToken) {
        futures::future::join_all(self.0.iter().map(|teller| teller.run(cancel))).await;
    }
}

/// Who wants to be told, as `sluice status` calls them.
pub(crate) fn names(ctx: &Context) -> Vec<&'static str> {
    told(ctx).unwrap_or_default().iter().map(Told::name).collect()
}

fn told(ctx: &Context) -> Result<Vec<Told>, Failure> {
    let lookup = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    Ok(lineage(ctx).into_iter().chain(traces(ctx.project.traces.as_ref(), lookup)?).collect())
}

fn lineage(ctx: &Context) -> Option<Told> {
    let lineage = ctx.project.lineage.as_ref()?;
    let url = format!("{}/{}", lineage.url.as_deref()?.trim_end_matches('/'), lineage.endpoint.trim_start_matches('/'));
    let namespace = lineage.namespace.clone().unwrap_or_else(|| ctx.project.project.clone());
    let places = Places {
        connections: [("shop".to_owned(), ctx.endpoint(Service::Mariadb))].into(),
        kafka: ctx.endpoint(Service::Kafka),
        lake: ctx.lake_place(),
        folder: ctx.dir.clone(),
        page: ctx.internal_url(),
    };
    Some(Told::Lineage { url, namespace, token: lineage.token.clone(), places: Box::new(places) })
}

/// What `sluice.yaml` says goes before what the environment says.
fn traces(settings: Option<&Traces>, lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Told>, Failure> {
    if lookup("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || lookup("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none")
    {
        return Ok(None);
    }
    let below = |url: &str| format!("{}/v1/traces", url.trim_end_matches('/'));
    let named = |of: &str| {
        ["OTEL_EXPORTER_OTLP_TRACES", "OTEL_EXPORTER_OTLP"].into_iter().find_map(|start| {
            let name = format!("{start}_{of}");
            Some((lookup(&name)?, name))
        })
    };
    let url = match settings.and_then(|settings| settings.endpoint.as_deref()) {
        Some(endpoint) => below(endpoint),
        None => match named("ENDPOINT") {
            None => return Ok(None),
            Some((url, name)) if !url.starts_with("http://") && !url.starts_with("https://") => {
                let message = format!("`{url}` in {name} is not an address");
                return Err(Failure::usage_hint(message, "spans go over HTTP: `http://collector:4318`"));
            }
            Some((url, name)) if url.contains('@') => {
                let message = format!("the address in {name} holds a password");
                return Err(Failure::usage_hint(message, "send it as a header, by OTEL_EXPORTER_OTLP_HEADERS"));
            }
            Some((url, name)) if name.contains("TRACES") => url,
            Some((url, _)) => below(&url),
        },
    };
    let mut headers = BTreeMap::new();
    for pair in named("HEADERS").iter().flat_map(|(pairs, _)| pairs.split(',')) {
        if let Some((name, value)) = pair.split_once('=') {
            headers.insert(name.trim().to_ascii_lowercase(), SecretString::from(unescaped(value.trim())));
        }
    }
    headers.extend(settings.into_iter().flat_map(|settings| settings.headers.clone()));
    let service = lookup("OTEL_SERVICE_NAME").unwrap_or_else(|| "sluice".to_owned());
    Ok(Some(Told::Traces { url, service, headers }))
}

/// `a b` of `a%20b`.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn told(settings: Option<&Traces>, environment: &[(&str, &str)]) -> Option<(String, String, Vec<String>)> {
        let lookup =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        match traces(settings, lookup).expect("valid")? {
            Told::Traces { url, service, headers } => {
                let headers = headers.iter().map(|(name, value)| format!("{name}: {}", value.expose_secret()));
                Some((url, service, headers.collect()))
            }
            Told::Lineage { .. } => None,
        }
    }

    #[test]
    fn the_variables_of_opentelemetry_say_where_traces_go() {
        assert_eq!(told(None, &[]), None);
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
        let url = |environment: &[_]| told(None, environment).expect("told").0;
        assert_eq!(url(&[general]), "http://c:4318/v1/traces");
        assert_eq!(url(&[general, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/x")]), "http://t:1/x");
        assert_eq!(told(None, &[general, ("OTEL_SDK_DISABLED", "true")]), None);
        let (_, service, headers) = told(
            None,
            &[general, ("OTEL_SERVICE_NAME", "shop"), ("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=a%20b%2C, tenant = 7")],
        )
        .expect("told");
        assert_eq!((service.as_str(), headers), ("shop", vec!["tenant: 7".to_owned(), "x-key: a b,".to_owned()]));
        let settings = Traces { endpoint: Some("http://own:4318".to_owned()), ..Traces::default() };
        assert_eq!(told(Some(&settings), &[general]).expect("told").0, "http://own:4318/v1/traces");
        let grpc = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "c:4317".to_owned());
        assert!(traces(None, grpc).is_err());
    }
}
