//! The present: visitors click, orders are placed, now and then somebody attacks. Each order is written to `MySQL`
//! with all its rows in one transaction, and only then its event is handed on, so that both tell of the same
//! orders.

use std::{future::Future, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use simshop::{Event, EventStream, Row, Sale, Shop, TableRows, Traffic};
use sqlx::{MySqlConnection, MySqlPool, query, query_scalar};
use tokio_util::sync::CancellationToken;
use workflow::error::TaskError;

use super::{
    Config,
    mysql::{failed, insert, recorded, unreachable},
};

/// How long an order that is under way may take once the shop is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events handed on.
    pub events: u64,
    /// Orders placed, with attacks among them.
    pub orders: u64,
    /// Accounts opened.
    pub customers: u64,
    /// Events that were part of an attack.
    pub attacks: u64,
}

/// Lets the shop live until `cancel`. `send` takes each event to Kafka, in order, at the time when it is due;
/// an event that it refuses ends the traffic.
pub async fn run<S, F>(
    pool: &MySqlPool,
    traffic: Traffic,
    cancel: &CancellationToken,
    mut send: S,
) -> Result<Tally, TaskError>
where
    S: FnMut(Event) -> F,
    F: Future<Output = Result<(), TaskError>>,
{
    let mut connection = pool.acquire().await.map_err(unreachable)?;
    let config = recorded(&mut connection).await?.ok_or_else(no_shop)?;
    let start = Utc::now();
    let shop = Shop::new(config.settings(start));
    let mut tally = Tally::default();
    // Visitors who came a while ago are about to buy: the stream begins before it is listened to.
    let opened = start - traffic.attack_every.unwrap_or(TimeDelta::seconds(60)) * 3;
    let events = EventStream::of(shop, live_seed(&config, start), opened, traffic);
    for mut event in events.skip_while(|event| event.sent_at < start) {
        let wait = (event.sent_at - Utc::now()).to_std().unwrap_or_default();
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
        let happen = async {
            if event.sale.is_some() {
                store(pool, &mut event).await.map_err(|e| failed("cannot place an order", e))?;
                tally.orders += 1;
                tally.customers += u64::from(event.new_customer.is_some());
            }
            let truth = event.truth.clone();
            send(event).await?;
            tally.events += 1;
            if let Some(truth) = &truth {
                insert(&mut connection, &TableRows::of([truth]), 0)
                    .await
                    .map_err(|e| failed("cannot label an attack", e))?;
                tally.attacks += u64::from(truth.kind == "attack");
            }
            Ok::<_, TaskError>(())
        };
        // An order that is placed gets its event, unless a server gives no answer for so long that it is not worth it.
        let grace = async {
            cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            happened = happen => happened?,
            () = grace => break,
        }
    }
    Ok(tally)
}

/// Each start has a present of its own; two starts never place the same orders again.
fn live_seed(config: &Config, start: DateTime<Utc>) -> u64 {
    config.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ start.timestamp_micros().cast_unsigned()
}

fn no_shop() -> TaskError {
    TaskError::user("this shop has no past yet: run `sluice generate` first")
}

/// Writes an order with its account, lines, payment and stock in one transaction, under the next free ids.
async fn store(pool: &MySqlPool, event: &mut Event) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let customer = match (&event.new_customer, &event.sale) {
        (Some(_), _) => next_id(&mut transaction, "select max(id) from customers for update").await?,
        (None, Some(sale)) => sale.order.customer_id,
        (None, None) => return Ok(()),
    };
    let order = next_id(&mut transaction, "select max(id) from orders for update").await?;
    event.assign(order, customer);
    if let Some(new) = &event.new_customer {
        insert(&mut transaction, &TableRows::of([new.as_ref()]), 0).await?;
    }
    if let Some(sale) = &event.sale {
        insert(&mut transaction, &TableRows::of([&sale.order]), 0).await?;
        insert_new(&mut transaction, &sale.items).await?;
        insert_new(&mut transaction, &sale.payments).await?;
        if sale.order.status != "cancelled" {
            take_from_stock(&mut transaction, sale).await?;
        }
    }
    transaction.commit().await
}

/// Inserts rows whose ids the database chooses.
async fn insert_new<R: Row>(connection: &mut MySqlConnection, rows: &[R]) -> Result<(), sqlx::Error> {
    insert(connection, &TableRows::of(rows), 1).await
}

/// One more than the greatest id, which stays locked until the transaction ends.
async fn next_id(connection: &mut MySqlConnection, greatest: &'static str) -> Result<u64, sqlx::Error> {
    let id: Option<u64> = query_scalar(greatest).fetch_one(connection).await?;
    Ok(id.unwrap_or_default() + 1)
}

/// Books the goods out; a shelf that cannot give them is filled up first, as is one in five that has run low.
async fn take_from_stock(connection: &mut MySqlConnection, sale: &Sale) -> Result<(), sqlx::Error> {
    let at = sale.order.ordered_at;
    for item in &sale.items {
        let shelf: Option<(i32, u32, u32)> = sqlx::query_as(
            "select on_hand, reorder_point, reorder_quantity from inventory \
             where product_id = ? and distribution_center_id = ? for update",
        )
        .bind(item.product_id)
        .bind(sale.center_id())
        .fetch_optional(&mut *connection)
        .await?;
        let Some((on_hand, reorder_point, reorder_quantity)) = shelf else { continue };
        let (on_hand, reorder_point) = (i64::from(on_hand), i64::from(reorder_point));
        let refill = on_hand < item.quantity || (on_hand < reorder_point && sale.order.id.is_multiple_of(5));
        if refill {
            let received = i64::from(reorder_quantity).max(item.quantity - on_hand);
            let before = at - TimeDelta::milliseconds(1);
            book(connection, sale, item.product_id, "receipt", received, before).await?;
        }
        book(connection, sale, item.product_id, "sale", -item.quantity, at).await?;
    }
    Ok(())
}

async fn book(
    connection: &mut MySqlConnection,
    sale: &Sale,
    product_id: u64,
    kind: &str,
    quantity: i64,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    query(include_str!("../../../../sql/shop/live/book_movement.sql"))
        .bind(product_id)
        .bind(sale.center_id())
        .bind(kind)
        .bind(quantity)
        .bind((kind == "sale").then_some(sale.order.id))
        .bind(at)
        .execute(&mut *connection)
        .await?;
    query("update inventory set on_hand = on_hand + ? where product_id = ? and distribution_center_id = ?")
        .bind(quantity)
        .bind(product_id)
        .bind(sale.center_id())
        .execute(connection)
        .await?;
    Ok(())
}
