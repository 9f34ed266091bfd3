//! High-water marks: up to where an incremental extract has been published, for each target apart. Where two loads
//! publish one extract and one of them is refused, the next run reads again what that one lacks.

use std::cmp::Ordering;

use sqlx::{PgConnection, PgPool};

use crate::{
    error::WarehouseError,
    ident::TableName,
    manifest::{Mark, Reading},
};

/// The loads of a run that publish what its task `extract` reads, by the run's own plan: the name of each, and its
/// target as it is written there.
pub async fn targets(pool: &PgPool, run_id: i64, extract: &str) -> Result<Vec<(String, String)>, WarehouseError> {
    let targets = sqlx::query_as(include_str!("../../../../sql/engine/mark_targets.sql"));
    Ok(targets.bind(run_id).bind(extract).fetch_all(pool).await?)
}

/// From where to read on, so that each of `targets` gets every row: the lowest of their marks, and none where one of
/// them has no mark yet. Without targets, the lowest that any target ever had.
pub async fn read(pool: &PgPool, of: &Reading, targets: &[String]) -> Result<Option<Mark>, WarehouseError> {
    let found: Vec<(String, String, String)> = sqlx::query_as(include_str!("../../../../sql/engine/marks.sql"))
        .bind(&of.dag)
        .bind(&of.task)
        .bind(&of.connection)
        .bind(&of.source)
        .bind(&of.column)
        .fetch_all(pool)
        .await?;
    if targets.iter().any(|target| !found.iter().any(|(known, ..)| known == target)) {
        return Ok(None);
    }
    let lowest = found.into_iter().filter(|(target, ..)| targets.is_empty() || targets.contains(target)).min_by(
        |(_, left, left_key), (_, right, right_key)| compare(left, right).then_with(|| compare(left_key, right_key)),
    );
    Ok(lowest.map(|(_, cursor, key)| Mark { of: of.clone(), cursor, key }))
}

/// Moves a target's mark forward, in the transaction that publishes the rows below it. It never moves back.
pub(super) async fn advance(
    connection: &mut PgConnection,
    mark: &Mark,
    target: &TableName,
    load_id: i64,
) -> Result<(), WarehouseError> {
    let (of, target) = (&mark.of, target.to_string());
    let stands: Option<(String, String)> = sqlx::query_as(include_str!("../../../../sql/engine/lock_mark.sql"))
        .bind(&of.dag)
        .bind(&of.task)
        .bind(&of.connection)
        .bind(&of.source)
        .bind(&of.column)
        .bind(&target)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some((cursor, key)) = stands
        && compare(&cursor, &mark.cursor).then_with(|| compare(&key, &mark.key)) != Ordering::Less
    {
        return Ok(());
    }
    sqlx::query(include_str!("../../../../sql/engine/advance_mark.sql"))
        .bind(&of.dag)
        .bind(&of.task)
        .bind(&of.connection)
        .bind(&of.source)
        .bind(&of.column)
        .bind(&target)
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
