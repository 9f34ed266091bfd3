//! A database of its own for something that is only tried out, on the server of the real one and gone afterwards.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, postgres::PgConnectOptions, query_scalar};
use uuid::Uuid;

use crate::{
    error::WarehouseError,
    pool::{self, connect_with},
};

/// Databases that something of ours made and did not live to remove: nobody is connected under their name.
const LEFT_OVER: &str = "select datname from pg_database d where datname like 'sluice\\_scratch\\_%'
    and not exists (select from pg_stat_activity a where a.application_name = d.datname)";

/// An empty database. Who drops it without [`Scratch::remove`] leaves it to the next one to be made.
pub struct Scratch {
    name: String,
    options: PgConnectOptions,
    /// Connected under the database's name for as long as it is in use.
    admin: PgConnection,
}

impl Scratch {
    /// Makes one on the server at `url`, and removes those that were left behind there.
    ///
    /// # Errors
    /// [`WarehouseError::Unreachable`], or [`WarehouseError::Refused`] where that user may make no database.
    pub async fn create(url: &str) -> Result<Self, WarehouseError> {
        let name = format!("sluice_scratch_{}", &Uuid::new_v4().simple().to_string()[..12]);
        let options = pool::options(url, &name)?;
        let mut admin = options.connect().await.map_err(|error| pool::unreachable(&options, error))?;
        let left: Vec<String> = query_scalar(LEFT_OVER).fetch_all(&mut admin).await?;
        for name in left {
            // Another one may be at it too, or it is another user's.
            if let Err(error) = drop_database(&mut admin, &name).await {
                tracing::debug!(name, %error, "a scratch database stays");
            }
        }
        // From an empty template: what somebody put into `template1` is not part of what is tried.
        let create = AssertSqlSafe(format!("create database {name} template template0"));
        sqlx::query(create).execute(&mut admin).await.map_err(|error| WarehouseError::Refused {
            what: "Postgres".to_owned(),
            at: pool::place(&options),
            problem: format!("no scratch database can be made there: {}", said(&error)),
            hint: "let its user make databases (`alter role … createdb`), or name another server",
        })?;
        let options = options.database(&name);
        Ok(Self { name, options, admin })
    }

    /// Connections to it.
    ///
    /// # Errors
    /// [`WarehouseError::Unreachable`].
    pub async fn pool(&self) -> Result<PgPool, WarehouseError> {
        connect_with(self.options.clone().application_name("sluice")).await
    }

    /// Removes it with all that is in it, whoever is connected.
    ///
    /// # Errors
    /// Where Postgres is gone; the next one to be made removes it then.
    pub async fn remove(mut self) -> Result<(), WarehouseError> {
        drop_database(&mut self.admin, &self.name).await?;
        Ok(self.admin.close().await?)
    }
}

async fn drop_database(admin: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    // The name is one of ours: letters, digits and underscores.
    let sql = AssertSqlSafe(format!("drop database if exists \"{}\" with (force)", name.replace('"', "")));
    sqlx::query(sql).execute(admin).await.map(drop)
}

/// What Postgres says, without what sqlx says around it.
fn said(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())
}
