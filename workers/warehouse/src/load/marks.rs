//! High-water marks: up to where an incremental extract has been published.

use std::cmp::Ordering;

use sqlx::{PgConnection, PgPool};

use crate::{error::WarehouseError, manifest::Mark};

/// The mark of that name.
pub async fn read(pool: &PgPool, name: &str) -> Result<Option<Mark>, WarehouseError> {
    let found: Option<(String, String)> =
        sqlx::query_as("select cursor, key from sluice.high_water_mark where name = $1")
            .bind(name)
            .fetch_optional(pool)
            .await?;
    Ok(found.map(|(cursor, key)| Mark { name: name.to_owned(), cursor, key }))
}

/// Moves a mark forward, in the transaction that publishes the rows below it. It never moves back.
pub(super) async fn advance(connection: &mut PgConnection, mark: &Mark, load_id: i64) -> Result<(), WarehouseError> {
    let stands: Option<(String, String)> =
        sqlx::query_as("select cursor, key from sluice.high_water_mark where name = $1 for update")
            .bind(&mark.name)
            .fetch_optional(&mut *connection)
            .await?;
    if let Some((cursor, key)) = stands
        && compare(&cursor, &mark.cursor).then_with(|| compare(&key, &mark.key)) != Ordering::Less
    {
        return Ok(());
    }
    sqlx::query(include_str!("../../../../sql/engine/advance_mark.sql"))
        .bind(&mark.name)
        .bind(&mark.cursor)
        .bind(&mark.key)
        .bind(load_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Order of two values of one column as text: whole numbers by size, anything else (times of one width) as text.
pub fn compare(left: &str, right: &str) -> Ordering {
    match (left.parse::<i128>(), right.parse::<i128>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        _ => left.cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_size_and_times_as_text() {
        assert_eq!(compare("9", "10"), Ordering::Less);
        assert_eq!(compare("18446744073709551615", "2"), Ordering::Greater);
        assert_eq!(compare("2026-01-01 00:00:00.000009", "2026-01-01 00:00:00.000010"), Ordering::Less);
    }
}
