//! A load that mends a table: its batch holds the rows that were found to be missing or different, and rows that the source
//! no longer has are deleted in the same transaction.

use sqlx::{AssertSqlSafe, PgConnection};

use super::LoadRequest;
use crate::{error::WarehouseError, ident::TableName};

/// What was published into a table, as a snapshot sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    loads: i64,
    last: i64,
}

impl Seen {
    /// Asks in the snapshot of a transaction.
    pub async fn of(connection: &mut PgConnection, table: &TableName) -> Result<Self, WarehouseError> {
        let (loads, last) = sqlx::query_as(include_str!("../../../../sql/engine/loads_seen.sql"))
            .bind(table.to_string())
            .fetch_one(connection)
            .await?;
        Ok(Self { loads, last })
    }
}

/// What publishing a repair does besides.
#[derive(Debug, Clone)]
pub struct Repair {
    /// What had been published when the rows were compared. Had another load published since, its newer rows might go
    /// under: so nothing is, and the next attempt compares anew.
    pub seen: Seen,
    /// What names a row, as SQL: a quoted column, or an expression.
    pub key: String,
    /// Its type.
    pub key_type: String,
    /// Keys of the rows to delete, as text.
    pub gone: Vec<String>,
}

impl Repair {
    /// Refuses a table that another load has published into; call it under the target's lock.
    pub(super) async fn check(
        &self,
        connection: &mut PgConnection,
        request: &LoadRequest,
    ) -> Result<(), WarehouseError> {
        if Seen::of(connection, &request.target).await? == self.seen {
            Ok(())
        } else {
            Err(WarehouseError::Overtaken(request.target.to_string()))
        }
    }

    /// Deletes the rows that are gone from the source, and says so in the ledger.
    pub(super) async fn delete(
        &self,
        connection: &mut PgConnection,
        request: &LoadRequest,
        load_id: i64,
    ) -> Result<(), WarehouseError> {
        if self.gone.is_empty() {
            return Ok(());
        }
        let sql = include_str!("../../../../sql/engine/delete_gone.sql")
            .replace("{target}", &request.target.quoted())
            .replace("{key}", &self.key)
            .replace("{type}", &self.key_type);
        sqlx::query(AssertSqlSafe(sql)).bind(&self.gone).bind(load_id).execute(connection).await?;
        Ok(())
    }
}
