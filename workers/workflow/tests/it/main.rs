//! DAG files, good and bad, through the whole check.

mod dags;
mod kinds;
mod rehearsal;
mod state;
