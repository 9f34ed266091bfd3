//! Whether anybody is still there at the other end of a command's connections.

use std::{io, time::Duration};

use sqlx::{Connection as _, PgConnection};

use super::{PATIENCE, answered, options, unreachable};
use crate::error::WarehouseError;

/// Asked of the server on a connection of its own: nothing is under way for those sessions, and has not been for a while. What
/// the server is about to tell somebody who does not take it is as good as nothing.
const SILENT: &str = "
    select coalesce(bool_and((state <> 'active' or wait_event_type = 'Client')
                             and state_change < clock_timestamp() - $2 * interval '1 second'), true)
    from pg_stat_activity where application_name = $1";

/// Returns once the server has had nothing to do for the sessions named `application` for [`PATIENCE`], while a command still
/// waits for it: an answer was lost, and nothing else would tell. A statement that takes its time is under way. So it is
/// for commands that do nothing but ask, and for what asks all the time.
/// What it gives is what to tell whoever waits.
pub async fn silence(url: &str, application: &str) -> WarehouseError {
    let mut failures = 0;
    loop {
        tokio::time::sleep(PATIENCE).await;
        match is_silent(url, application, PATIENCE).await {
            Ok(false) => failures = 0,
            Ok(true) => {
                let said = "its connection has gone dead; what was asked for may have been done";
                let silence = io::Error::new(io::ErrorKind::TimedOut, said);
                return match options(url, application) {
                    Ok(options) => unreachable(&options, sqlx::Error::Io(silence)),
                    Err(error) => error,
                };
            }
            // A server that has no place for one more connection is at work all the same.
            Err(_) if failures < 2 => failures += 1,
            Err(error) => return error,
        }
    }
}

async fn is_silent(url: &str, application: &str, patience: Duration) -> Result<bool, WarehouseError> {
    let options = options(url, "sluice watch")?;
    let ask = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        let asked = sqlx::query_scalar(SILENT).bind(application).bind(patience.as_secs_f64());
        asked.fetch_one(&mut connection).await
    };
    answered(patience, ask).await.map_err(|error: sqlx::Error| unreachable(&options, error))
}
