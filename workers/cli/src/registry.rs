//! Every task kind of this program: a kind is one file and one line here.

use std::collections::BTreeMap;

use services::Service;
use sqlx::{PgPool, postgres::PgPoolOptions};
use streaming::ProduceEvents;
use tasks::{
    alert_low_stock::AlertLowStock, command::RunCommand, export::Export, extract_csv::ExtractCsv,
    extract_http::ExtractHttp, extract_mysql::ExtractMysql, generate::Generate, load::Load, reconcile::Reconcile,
    report::Report, sender::Sender, transform::Transform, validate::Validate, wait_file::WaitFile, wait_http::WaitHttp,
    wait_sql::WaitSql, wait_until::WaitUntil,
};
use warehouse::lake::Lake;
use workflow::kind::Registry;

use crate::context::Context;

/// What the kinds work with.
struct Handles<'a> {
    ctx: &'a Context,
    pool: PgPool,
    lake: Lake,
}

/// The kinds, wired to the project's services. `MySQL` and Kafka are looked for when a task needs them.
pub(crate) async fn connected(ctx: &Context) -> anyhow::Result<Registry> {
    Ok(kinds(Handles { ctx, pool: ctx.postgres().await?, lake: ctx.lake()? }))
}

/// The kinds over another database and lake than the project's.
pub(crate) fn over(ctx: &Context, pool: PgPool, lake: Lake) -> Registry {
    kinds(Handles { ctx, pool, lake })
}

/// The kinds for checking files: nothing is connected, and nothing is made on disk but the lake's folder.
pub(crate) fn offline(ctx: &Context) -> anyhow::Result<Registry> {
    Ok(kinds(Handles {
        ctx,
        pool: PgPoolOptions::new().connect_lazy("postgres://127.0.0.1/unconnected")?,
        lake: ctx.lake()?,
    }))
}

fn kinds(with: Handles<'_>) -> Registry {
    let Handles { ctx, pool, lake } = with;
    let shop = ctx.endpoint(Service::Mariadb);
    let connections = BTreeMap::from([("shop".to_owned(), shop.clone())]);
    let sender = sender(ctx);
    Registry::new()
        .with(RunCommand::new(&ctx.dir))
        .with(ExtractCsv::new(lake.clone(), &ctx.dir))
        .with(Export::new(pool.clone(), lake.clone()))
        .with(ExtractHttp::new(lake.clone(), ctx.internal_url()))
        .with(ExtractMysql::new(connections.clone(), pool.clone(), lake.clone()))
        .with(Reconcile::new(connections, pool.clone(), lake.clone(), &ctx.dir))
        .with(Generate::new(shop))
        .with(Load::new(pool.clone(), lake.clone(), &ctx.dir))
        .with(Report::new(pool.clone(), sender.clone()))
        .with(AlertLowStock::new(pool.clone(), sender))
        .with(Transform::new(pool.clone(), &ctx.dir, ctx.project.timezone))
        .with(Validate::new(pool.clone(), lake.clone(), &ctx.dir))
        .with(WaitFile::new(lake, &ctx.dir))
        .with(WaitHttp::new(ctx.internal_url()))
        .with(WaitSql::new(pool))
        .with(WaitUntil)
        .with(ProduceEvents::new(ctx.endpoint(Service::Kafka)))
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
