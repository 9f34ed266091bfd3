//! The shop's day as the streams see it: what the overview shows and `/api/v1/board/stream` pushes.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use chrono::{DateTime, Days, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;

use crate::error::StoreError;

/// The board at one moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Board {
    /// Changes when anything below changes.
    pub(crate) revision: String,
    /// When the shop's day began.
    pub(crate) day_start: DateTime<Utc>,
    /// Sum of the day's approved orders so far.
    #[schema(value_type = String)]
    pub(crate) revenue: Decimal,
    /// How many there were.
    pub(crate) orders: i64,
    /// Revenue of the last 60 minutes.
    #[schema(value_type = String)]
    pub(crate) hour_revenue: Decimal,
    /// And of the 60 minutes before.
    #[schema(value_type = String)]
    pub(crate) previous_hour_revenue: Decimal,
    /// The last 60 minutes, oldest first.
    pub(crate) minutes: Vec<Minute>,
    /// The day's five best-selling products.
    pub(crate) products: Vec<Share>,
    /// The day's categories, greatest first.
    pub(crate) categories: Vec<Share>,
    /// Open alerts of the last seven days, by severity.
    pub(crate) open_alerts: BTreeMap<String, i64>,
    /// When a stream last committed a result; null before the first.
    pub(crate) updated_at: Option<DateTime<Utc>>,
}

/// One minute of the board.
#[derive(Debug, Serialize, Hash, FromRow, ToSchema)]
pub(crate) struct Minute {
    pub(crate) minute: DateTime<Utc>,
    #[schema(value_type = String)]
    pub(crate) revenue: Decimal,
    pub(crate) orders: i64,
}

/// A product's or category's part of the day.
#[derive(Debug, Serialize, Hash, FromRow, ToSchema)]
pub(crate) struct Share {
    /// As the events name it.
    pub(crate) key: String,
    /// The product's name where the warehouse knows it, else the key.
    #[sqlx(skip)]
    pub(crate) name: String,
    #[schema(value_type = String)]
    pub(crate) revenue: Decimal,
    pub(crate) orders: i64,
}

#[derive(FromRow)]
struct Totals {
    revenue: Decimal,
    orders: i64,
    hour_revenue: Decimal,
    previous_hour_revenue: Decimal,
    updated_at: Option<DateTime<Utc>>,
}

impl Board {
    /// Reads it. Before the first event, and where no stream has these aggregates, it is empty.
    pub(crate) async fn read(pool: &PgPool, timezone: Tz) -> Result<Self, StoreError> {
        let now = Utc::now();
        let day_start = day_start(now, timezone);
        let totals: Totals = sqlx::query_as(include_str!("../../../../sql/web/board_totals.sql"))
            .bind(day_start)
            .bind(now)
            .fetch_one(pool)
            .await?;
        let minutes: Vec<Minute> =
            sqlx::query_as(include_str!("../../../../sql/web/board_minutes.sql")).bind(now).fetch_all(pool).await?;
        let mut products = split(pool, "sales_by_product", day_start, 5).await?;
        name_products(pool, &mut products).await?;
        let categories = split(pool, "sales_by_category", day_start, 100).await?;
        let open_alerts: Vec<(String, i64)> =
            sqlx::query_as(include_str!("../../../../sql/web/board_alerts.sql")).fetch_all(pool).await?;
        let mut board = Self {
            revision: String::new(),
            day_start,
            revenue: totals.revenue,
            orders: totals.orders,
            hour_revenue: totals.hour_revenue,
            previous_hour_revenue: totals.previous_hour_revenue,
            minutes,
            products,
            categories,
            open_alerts: open_alerts.into_iter().collect(),
            updated_at: totals.updated_at,
        };
        board.revision = board.hash();
        Ok(board)
    }

    fn hash(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (self.revenue, self.orders, self.updated_at, self.day_start).hash(&mut hasher);
        (&self.minutes, &self.products, &self.categories, &self.open_alerts).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

async fn split(pool: &PgPool, agg: &str, since: DateTime<Utc>, limit: i64) -> Result<Vec<Share>, StoreError> {
    let mut shares: Vec<Share> = sqlx::query_as(include_str!("../../../../sql/web/board_split.sql"))
        .bind(agg)
        .bind(since)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    for share in &mut shares {
        share.name.clone_from(&share.key);
    }
    Ok(shares)
}

/// Names come from the staged copy of the shop's table, which is not there before its first load.
async fn name_products(pool: &PgPool, products: &mut [Share]) -> Result<(), StoreError> {
    let staged: bool = sqlx::query_scalar("select to_regclass('staging.products') is not null").fetch_one(pool).await?;
    if !staged || products.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = products.iter().map(|product| product.key.as_str()).collect();
    let names: Vec<(String, String)> =
        sqlx::query_as(include_str!("../../../../sql/web/product_names.sql")).bind(&ids).fetch_all(pool).await?;
    let names: BTreeMap<_, _> = names.into_iter().collect();
    for product in products {
        if let Some(name) = names.get(&product.key) {
            product.name.clone_from(name);
        }
    }
    Ok(())
}

/// The last local midnight; where a clock change skips it, the first instant of that day.
fn day_start(now: DateTime<Utc>, timezone: Tz) -> DateTime<Utc> {
    let date = now.with_timezone(&timezone).date_naive();
    (0..24)
        .filter_map(|hour| NaiveTime::from_hms_opt(hour, 0, 0))
        .find_map(|time| timezone.from_local_datetime(&date.and_time(time)).earliest())
        .map_or_else(|| now.checked_sub_days(Days::new(1)).unwrap_or(now), |start| start.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_begins_at_local_midnight_even_where_there_is_none() {
        let start = |now: &str, zone: Tz| day_start(now.parse().unwrap(), zone).to_rfc3339();
        assert_eq!(start("2026-06-01T21:59:00Z", Tz::Europe__Berlin), "2026-05-31T22:00:00+00:00");
        assert_eq!(start("2026-06-01T22:01:00Z", Tz::Europe__Berlin), "2026-06-01T22:00:00+00:00");
        // Clocks in Santiago go from 24:00 to 01:00 on that night.
        assert_eq!(start("2026-09-06T12:00:00Z", Tz::America__Santiago), "2026-09-06T04:00:00+00:00");
    }
}
