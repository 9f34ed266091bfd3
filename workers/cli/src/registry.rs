//! Every task kind of this program: a kind is one file and one line here.

use std::collections::BTreeMap;

use secrecy::SecretString;
use sqlx::{PgPool, postgres::PgPoolOptions};
use streaming::ProduceEvents;
use tasks::{
    alert_low_stock::AlertLowStock, command::RunCommand, export::Export, extract_csv::ExtractCsv,
    extract_http::ExtractHttp, extract_mysql::ExtractMysql, generate::Generate, load::Load, report::Report,
    sender::Sender, transform::Transform, validate::Validate,
};
use warehouse::lake::Lake;
use workflow::kind::Registry;

use crate::context::Context;

/// What the kinds work with.
struct Handles<'a> {
    ctx: &'a Context,
    pool: PgPool,
    lake: Lake,
    connections: BTreeMap<String, SecretString>,
    kafka: String,
}

/// The kinds, wired to the project's services. `MySQL` and Kafka are looked for when a task needs them.
pub(crate) async fn connected(ctx: &Context) -> anyhow::Result<Registry> {
    let pool = ctx.postgres().await?;
    Ok(kinds(Handles {
        ctx,
        pool,
        lake: ctx.lake()?,
        connections: ctx.mysql_url().map(|url| ("shop".to_owned(), url.into())).into_iter().collect(),
        kafka: ctx.kafka().unwrap_or_default(),
    }))
}

/// The kinds for checking files: nothing is connected, and nothing is made on disk but the lake's folder.
pub(crate) fn offline(ctx: &Context) -> anyhow::Result<Registry> {
    Ok(kinds(Handles {
        ctx,
        pool: PgPoolOptions::new().connect_lazy("postgres://127.0.0.1/unconnected")?,
        lake: ctx.lake()?,
        connections: BTreeMap::new(),
        kafka: String::new(),
    }))
}

fn kinds(with: Handles<'_>) -> Registry {
    let Handles { ctx, pool, lake, connections, kafka } = with;
    let sender = sender(ctx);
    Registry::new()
        .with(RunCommand::new(&ctx.dir))
        .with(ExtractCsv::new(lake.clone(), &ctx.dir))
        .with(Export::new(pool.clone(), lake.clone()))
        .with(ExtractHttp::new(lake.clone(), ctx.internal_url()))
        .with(ExtractMysql::new(connections.clone(), pool.clone(), lake.clone()))
        .with(Generate::new(connections.get("shop").cloned()))
        .with(Load::new(pool.clone(), lake.clone(), &ctx.dir))
        .with(Report::new(pool.clone(), sender.clone()))
        .with(AlertLowStock::new(pool.clone(), sender))
        .with(Transform::new(pool.clone(), &ctx.dir, ctx.project.timezone))
        .with(Validate::new(pool, lake, &ctx.dir))
        .with(ProduceEvents::new(kafka))
}

/// In whose name messages are written.
fn sender(ctx: &Context) -> Sender {
    Sender {
        project: ctx.project.project.clone(),
        currency: ctx.project.currency.clone(),
        web: Some(ctx.public_url()),
        channels: ctx.project.channels.clone(),
    }
}
