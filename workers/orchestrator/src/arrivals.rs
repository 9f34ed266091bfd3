//! Files that DAGs wait for: looked for in the project's folder and in the lake, and noted in the run store.

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use glob::{MatchOptions, Pattern};
use sqlx::PgPool;
use warehouse::{
    lake::Lake,
    runs::{self, Arrival, FileTrigger, RunError},
};

/// Files that one look notes of a trigger, at most; the others are for the next looks.
const MOST: usize = 10_000;
/// `*` stays within a folder, and a dot-file is named with its dot.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The project's folder.
    pub folder: Option<PathBuf>,
    /// The lake.
    pub lake: Option<Lake>,
}

/// Notes what has come. A place that cannot be read is looked at again the next time.
pub(crate) async fn look(pool: &PgPool, places: &Places, now: DateTime<Utc>) -> Result<(), RunError> {
    for trigger in runs::file_triggers(pool).await? {
        let found = match places.find(&trigger).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(dag = trigger.dag, path = trigger.path, error, "cannot look for files");
                continue;
            }
        };
        let settled =
            |file: &Arrival| now.signed_duration_since(file.modified).to_std().is_ok_and(|age| age >= trigger.settle);
        let settled: Vec<Arrival> = found.into_iter().filter(settled).take(MOST).collect();
        if !settled.is_empty() {
            runs::arrived(pool, &trigger.dag, trigger.entry, &trigger.path, &settled).await?;
        }
    }
    Ok(())
}

impl Places {
    async fn find(&self, trigger: &FileTrigger) -> Result<Vec<Arrival>, String> {
        if trigger.lake {
            let Some(lake) = &self.lake else { return Ok(Vec::new()) };
            let pattern = Pattern::new(&trigger.path).map_err(|error| error.to_string())?;
            let listed = lake.list_dated(literal(&trigger.path)).await.map_err(|error| error.to_string())?;
            let matching = listed.into_iter().filter(|(path, ..)| pattern.matches_with(path, MATCHING));
            return Ok(matching.map(|(path, bytes, modified)| Arrival { path, bytes, modified }).collect());
        }
        let Some(folder) = self.folder.clone() else { return Ok(Vec::new()) };
        let path = trigger.path.clone();
        tokio::task::spawn_blocking(move || below(&folder, &path)).await.map_err(|error| error.to_string())?
    }
}

/// The folder in which everything that a pattern matches is.
fn literal(pattern: &str) -> &str {
    let wild = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    pattern[..wild].rfind('/').map_or("", |slash| &pattern[..slash])
}

fn below(folder: &std::path::Path, pattern: &str) -> Result<Vec<Arrival>, String> {
    let whole = format!("{}/{pattern}", Pattern::escape(&folder.to_string_lossy()));
    let mut found = Vec::new();
    for path in glob::glob_with(&whole, MATCHING).map_err(|error| error.to_string())? {
        let path = path.map_err(|error| error.to_string())?;
        // One that is gone again has not come.
        let Ok(meta) = path.metadata() else { continue };
        let (Ok(modified), true) = (meta.modified(), meta.is_file()) else { continue };
        let path = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        found.push(Arrival { path, bytes: meta.len(), modified: modified.into() });
    }
    Ok(found)
}

/// How often files are looked for.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_before_the_first_wildcard_is_a_folder() {
        let cases = [("inbox/*.csv", "inbox"), ("a/b/c?/d", "a/b"), ("*.csv", ""), ("a/b.csv", "a"), ("b.csv", "")];
        for (pattern, folder) in cases {
            assert_eq!(literal(pattern), folder, "{pattern}");
        }
    }
}
