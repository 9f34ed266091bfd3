//! Up to which number every row can be seen.

use sqlx::{FromRow, PgPool};

use super::Place;
use crate::runs::RunError;

/// Numbers of runs and attempts that have been given out, and the transactions that may hold rows of them back.
///
/// Rows are numbered when they are inserted, and seen when their transaction commits. An insert locks its table before it
/// takes a number. So once none of the transactions is left that held such a lock after the newest numbers were read, each
/// row up to these can be seen, or never will be. No clock is asked, and nobody who writes knows of it.
#[derive(Debug)]
pub struct Fence {
    up_to: Place,
    writers: Vec<String>,
}

#[derive(FromRow)]
struct Allotted {
    run: i64,
    attempt: i64,
}

const WRITERS: &str = include_str!("../../../../sql/trail/writers.sql");

impl Fence {
    /// A fence at the newest numbers, or nothing where there are none after `place`.
    pub async fn set(pool: &PgPool, place: Place) -> Result<Option<Self>, RunError> {
        let newest = include_str!("../../../../sql/trail/allotted.sql");
        let newest: Allotted = sqlx::query_as(newest).fetch_one(pool).await?;
        if newest.run <= place.last_run && newest.attempt <= place.last_attempt {
            return Ok(None);
        }
        let up_to = Place { last_run: newest.run, last_attempt: newest.attempt };
        // In this order, in two statements: whoever takes a number later is none of its concern.
        let writers = sqlx::query_scalar(WRITERS).bind(None::<&[String]>).fetch_all(pool).await?;
        Ok(Some(Self { up_to, writers }))
    }

    /// How far one can walk, once that is certain.
    pub async fn passed(&mut self, pool: &PgPool) -> Result<Option<Place>, RunError> {
        if !self.writers.is_empty() {
            self.writers = sqlx::query_scalar(WRITERS).bind(Some(&self.writers)).fetch_all(pool).await?;
        }
        Ok(self.writers.is_empty().then_some(self.up_to))
    }
}
