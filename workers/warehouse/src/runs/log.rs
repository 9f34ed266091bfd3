//! Lines of attempts' logs.

use sqlx::{PgConnection, PgPool};
use workflow::log::LogLine;

use super::{RunError, without_nul};

/// One line with its place in its attempt's log.
#[derive(Debug, Clone)]
pub struct Line {
    /// 1 for the first.
    pub seq: i64,
    /// The line.
    pub line: LogLine,
}

/// Writes lines of any number of attempts at once. A line that is there already stays as it is.
pub async fn write_log(pool: &PgPool, lines: &[(i64, &Line)]) -> Result<(), RunError> {
    insert_lines(&mut *pool.acquire().await?, lines).await
}

pub(super) async fn insert_lines(connection: &mut PgConnection, lines: &[(i64, &Line)]) -> Result<(), RunError> {
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query(include_str!("../../../../sql/runs/write_log.sql"))
        .bind(lines.iter().map(|(attempt_id, _)| *attempt_id).collect::<Vec<_>>())
        .bind(lines.iter().map(|(_, line)| line.seq).collect::<Vec<_>>())
        .bind(lines.iter().map(|(_, line)| line.line.at).collect::<Vec<_>>())
        .bind(lines.iter().map(|(_, line)| line.line.level.as_str()).collect::<Vec<_>>())
        .bind(lines.iter().map(|(_, line)| without_nul(&line.line.line)).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
