//! What the daily report tells, read from the marts and from Sluice's own views in one snapshot.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection, query_as};

/// A day and the same weekday a week before.
#[derive(Debug, Clone, Default, FromRow)]
pub(crate) struct Totals {
    pub(crate) orders: i64,
    pub(crate) revenue: Decimal,
    pub(crate) returned_revenue: Decimal,
    pub(crate) margin: Decimal,
    pub(crate) units: i64,
    pub(crate) customers: i64,
    pub(crate) new_customers: i64,
    pub(crate) cancelled_orders: i64,
    pub(crate) average_order_value: Decimal,
    pub(crate) orders_before: i64,
    pub(crate) revenue_before: Decimal,
    pub(crate) units_before: i64,
    pub(crate) average_order_value_before: Decimal,
}

/// A day's revenue.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Day {
    pub(crate) date: NaiveDate,
    pub(crate) revenue: Decimal,
}

/// A department's day.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Department {
    pub(crate) name: String,
    pub(crate) revenue: Decimal,
    pub(crate) revenue_before: Decimal,
    pub(crate) units: i64,
}

/// A product's day.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct TopProduct {
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) revenue: Decimal,
    pub(crate) revenue_before: Decimal,
    pub(crate) units: i64,
}

/// What a dataset's gate did.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Gate {
    pub(crate) dataset: String,
    pub(crate) read: i64,
    pub(crate) loaded: i64,
    pub(crate) quarantined: i64,
    pub(crate) deduplicated: i64,
    pub(crate) failed: bool,
}

/// A rule and the rows that broke it.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct BrokenRule {
    pub(crate) dataset: String,
    pub(crate) rule: String,
    pub(crate) rows: i64,
}

/// Open alerts of one rule.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct OpenAlerts {
    pub(crate) source: String,
    pub(crate) rule: String,
    pub(crate) severity: String,
    pub(crate) alerts: i64,
    pub(crate) newest: String,
    pub(crate) raised_at: DateTime<Utc>,
}

/// The whole report.
#[derive(Debug, Clone, Default)]
pub(crate) struct DailySales {
    pub(crate) date: NaiveDate,
    pub(crate) totals: Totals,
    pub(crate) trend: Vec<Day>,
    pub(crate) departments: Vec<Department>,
    pub(crate) products: Vec<TopProduct>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) rules: Vec<BrokenRule>,
    pub(crate) alerts: Vec<OpenAlerts>,
}

impl DailySales {
    /// Reads the report of `date`, with the loads of the day before `at`. Everything comes from one snapshot if
    /// the transaction on `connection` has one.
    pub(crate) async fn read(
        connection: &mut PgConnection,
        date: NaiveDate,
        at: DateTime<Utc>,
    ) -> Result<Self, sqlx::Error> {
        Ok(Self {
            date,
            totals: query_as(include_str!("../../../../sql/reports/daily_totals.sql"))
                .bind(date)
                .fetch_one(&mut *connection)
                .await?,
            trend: query_as(include_str!("../../../../sql/reports/daily_trend.sql"))
                .bind(date)
                .fetch_all(&mut *connection)
                .await?,
            departments: query_as(include_str!("../../../../sql/reports/daily_departments.sql"))
                .bind(date)
                .fetch_all(&mut *connection)
                .await?,
            products: query_as(include_str!("../../../../sql/reports/daily_products.sql"))
                .bind(date)
                .fetch_all(&mut *connection)
                .await?,
            gates: query_as(include_str!("../../../../sql/reports/daily_quality.sql"))
                .bind(at)
                .fetch_all(&mut *connection)
                .await?,
            rules: query_as(include_str!("../../../../sql/reports/daily_rules.sql"))
                .bind(at)
                .fetch_all(&mut *connection)
                .await?,
            alerts: query_as(include_str!("../../../../sql/reports/open_alerts.sql")).fetch_all(connection).await?,
        })
    }
}
