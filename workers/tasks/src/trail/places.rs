//! Names of datasets, by the naming conventions of `OpenLineage`.

use std::{collections::BTreeMap, path::PathBuf};

use secrecy::ExposeSecret;
use sqlx::PgPool;
use url::Url;
use workflow::{datasets::Dataset, endpoint::Endpoint, template};

/// Where a project's data is.
#[derive(Debug, Clone)]
pub struct Places {
    /// `MySQL` connections, by name.
    pub connections: BTreeMap<String, Endpoint>,
    /// Kafka's brokers.
    pub kafka: Endpoint,
    /// The lake: a folder, or `s3://bucket/prefix`.
    pub lake: String,
    /// The project's folder.
    pub folder: PathBuf,
    /// Where tasks find the project's own web page.
    pub page: String,
}

/// A dataset's name for others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Name {
    fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl Places {
    /// The name of a dataset; `None` for one whose place or name is not known, such as a template that only the attempt
    /// could render.
    pub(super) fn name(&self, dataset: &Dataset, warehouse: &PgPool) -> Option<Name> {
        match dataset {
            Dataset::Table(table) => {
                let options = warehouse.connect_options();
                // A server behind a socket is on this machine.
                let host = if options.get_socket().is_some() { "localhost" } else { options.get_host() };
                let database = options.get_database().unwrap_or(options.get_username());
                let namespace = format!("postgres://{host}:{}", options.get_port());
                written(table).map(|table| Name::new(namespace, format!("{database}.{table}")))
            }
            Dataset::Source { connection, table } => {
                let url = Url::parse(self.connections.get(connection)?.locate().ok()?.expose_secret()).ok()?;
                let namespace = format!("mysql://{}:{}", url.host_str()?, url.port().unwrap_or(3306));
                written(table).map(|table| Name::new(namespace, format!("{}.{table}", url.path().trim_matches('/'))))
            }
            Dataset::Lake(path) => {
                let path = written(path)?;
                let Some(bucket) = self.lake.strip_prefix("s3://") else {
                    let folder = self.lake.strip_prefix("file://").unwrap_or(&self.lake);
                    return Some(Name::new("file", self.folder.join(folder).join(path).display().to_string()));
                };
                let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
                let key = format!("{}/{path}", prefix.trim_matches('/'));
                Some(Name::new(format!("s3://{bucket}"), key.trim_start_matches('/')))
            }
            Dataset::File(path) => Some(Name::new("file", self.folder.join(written(path)?).display().to_string())),
            Dataset::Topic(topic) => {
                let brokers = self.kafka.locate().ok()?;
                let first = brokers.expose_secret().split(',').next()?.trim().to_owned();
                Some(Name::new(format!("kafka://{first}"), written(topic)?))
            }
            Dataset::Address(address) => {
                let address = written(address)?;
                let whole = if address.starts_with('/') {
                    format!("{}{address}", self.page.trim_end_matches('/'))
                } else {
                    address.to_owned()
                };
                // Without what may be secret in it: user, password, query.
                let url = Url::parse(&whole).ok()?;
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                Some(Name::new(format!("{}://{}{port}", url.scheme(), url.host_str()?), url.path()))
            }
            Dataset::OutputOf(_) => None,
        }
    }
}

fn written(name: &str) -> Option<&str> {
    (!name.is_empty() && !template::is_template(name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_those_of_the_conventions() {
        let places = Places {
            connections: [("shop".to_owned(), Endpoint::fixed("MariaDB", "mysql://u:secret@db.example:3307/shop"))]
                .into(),
            kafka: Endpoint::fixed("Kafka", "k1:9092,k2:9092"),
            lake: "s3://bucket/some/prefix".to_owned(),
            folder: "/srv/shop".into(),
            page: "http://127.0.0.1:8180".to_owned(),
        };
        let warehouse = PgPool::connect_lazy("postgres://u:secret@pg.example:5433/dwh").expect("lazy");
        let name = |places: &Places, dataset| {
            places
                .name(&dataset, &warehouse)
                .map(|name| format!("{} {}", name.namespace, name.name))
                .unwrap_or_default()
        };
        let own = |text: &str| text.to_owned();
        assert_eq!(name(&places, Dataset::Table(own("marts.sales"))), "postgres://pg.example:5433 dwh.marts.sales");
        let source = |connection: &str| Dataset::Source { connection: own(connection), table: own("orders") };
        assert_eq!(name(&places, source("shop")), "mysql://db.example:3307 shop.orders");
        assert_eq!(name(&places, source("other")), "");
        assert_eq!(name(&places, Dataset::Lake(own("raw/x"))), "s3://bucket some/prefix/raw/x");
        let local = Places { lake: own("lake"), ..places.clone() };
        assert_eq!(name(&local, Dataset::Lake(own("raw/x"))), "file /srv/shop/lake/raw/x");
        assert_eq!(name(&places, Dataset::File(own("in/a.csv"))), "file /srv/shop/in/a.csv");
        assert_eq!(name(&places, Dataset::File(own("in/{{ ds }}.csv"))), "");
        assert_eq!(name(&places, Dataset::Topic(own("shop.orders"))), "kafka://k1:9092 shop.orders");
        let address = "https://u:p@api.example/v1/ratings?key=secret";
        assert_eq!(name(&places, Dataset::Address(own(address))), "https://api.example /v1/ratings");
        assert_eq!(name(&places, Dataset::Address(own("/demo/ratings"))), "http://127.0.0.1:8180 /demo/ratings");
    }
}
