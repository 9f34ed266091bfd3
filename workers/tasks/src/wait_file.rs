//! `wait_file`: lets the tasks behind it go on once files have arrived, in a folder or in the lake.
//!
//! What it leaves, `files`, is what a mapped task can go over.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use warehouse::{WarehouseError, lake::Lake};
use workflow::{
    diagnostic::Problem,
    error::TaskError,
    kind::{TaskContext, TaskKind},
    span::Span,
};

/// The kind.
pub struct WaitFile {
    lake: Lake,
    project: PathBuf,
}

impl WaitFile {
    /// Looks below `project`, at absolute paths, and in `lake`.
    pub fn new(lake: Lake, project: impl Into<PathBuf>) -> Self {
        Self { lake, project: project.into() }
    }
}

/// The keys of a task: `path` or `object`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A file in the project's folder or at an absolute path; `*` and `?` in its name stand for any characters, and for one.
    #[serde(default)]
    pub path: Option<String>,
    /// A file of the lake, likewise.
    #[serde(default)]
    pub object: Option<String>,
    /// How many there must be.
    #[serde(default = "one")]
    pub at_least: usize,
    /// How long until it looks again.
    #[serde(default = "half_a_minute")]
    pub every: Span,
}

fn one() -> usize {
    1
}

pub(crate) fn half_a_minute() -> Span {
    Span::from_secs(30)
}

/// What is wrong with the time between two looks.
pub(crate) fn too_often(every: Span) -> Option<Problem> {
    let problem = Problem::new("every", format!("{every} is too short a time between two looks"));
    (every < Span::from_secs(1)).then(|| problem.hint("`1s` or longer"))
}

#[async_trait]
impl TaskKind for WaitFile {
    const NAME: &'static str = "wait_file";
    const SUMMARY: &'static str = "Waits for files in a folder or in the lake, without a worker's slot";
    const TIMEOUT: Duration = Duration::from_mins(1);
    const PATIENCE: Option<Duration> = Some(Duration::from_hours(24));

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems: Vec<_> = too_often(config.every).into_iter().collect();
        let (field, path) = match (&config.path, &config.object) {
            (Some(path), None) => ("path", path),
            (None, Some(object)) => ("object", object),
            _ => {
                let problem = Problem::new("", "expected `path` or `object`, one of them");
                let hint = "`path: inbox/orders-*.csv` is a file of a folder, `object: raw/x/_DONE` one of the lake";
                problems.push(problem.hint(hint));
                return problems;
            }
        };
        let (folder, name) = split(path);
        if name.is_empty() {
            problems.push(Problem::new(field, format!("`{path}` names no file")).hint("end it in `/*` for any file"));
        } else if folder.contains(['*', '?']) {
            let problem = Problem::new(field, format!("`{path}` leaves the folder open"));
            problems.push(problem.hint("`*` and `?` may stand in the last part alone"));
        }
        if config.object.is_some() && (path.starts_with('/') || path.split('/').any(|part| part == "..")) {
            problems.push(Problem::new(field, format!("`{path}` leads out of the lake")).hint("`raw/orders/_DONE`"));
        }
        if config.at_least == 0 {
            problems.push(Problem::new("at_least", "no file is waited for").hint("1 or more"));
        }
        problems
    }

    async fn run(&self, config: Config, _task: &TaskContext) -> Result<Value, TaskError> {
        let (files, place) = match (&config.path, &config.object) {
            (Some(path), _) => (self.in_folder(path).await?, path),
            (None, Some(object)) => (self.in_lake(object).await?, object),
            (None, None) => return Err(TaskError::user("expected `path` or `object`")),
        };
        if files.len() >= config.at_least {
            return Ok(json!({ "files": files }));
        }
        let found = match (files.len(), config.at_least) {
            (0, 1) => format!("there is no {place}"),
            (found, least) => format!("there are {found} of {least} files {place}"),
        };
        Err(TaskError::not_yet(config.every.0, found))
    }
}

impl WaitFile {
    async fn in_folder(&self, path: &str) -> Result<Vec<String>, TaskError> {
        let (folder, name) = split(path);
        let (whole, name) = (self.project.join(folder), name.to_owned());
        let names = tokio::task::spawn_blocking(move || files(&whole, &name)).await.map_err(WarehouseError::from)?;
        let names = names.map_err(|error| {
            TaskError::external(format!("cannot look into {}", self.project.join(folder).display())).because(error)
        })?;
        Ok(names.into_iter().map(|name| format!("{folder}{name}")).collect())
    }

    async fn in_lake(&self, object: &str) -> Result<Vec<String>, TaskError> {
        let (folder, name) = split(object);
        let mut found: Vec<String> = self.lake.list(folder).await?.into_iter().map(|(path, _)| path).collect();
        found.retain(|path| path.strip_prefix(folder).is_some_and(|rest| matches(rest, name)));
        Ok(found)
    }
}

/// The files of a folder whose names match, in order. A folder that is not there yet has none.
fn files(folder: &Path, name: &str) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(file) = entry.file_name().into_string()
            && matches(&file, name)
            && entry.path().is_file()
        {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

/// The folder with its slash, and the name.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

/// Whether a name matches a pattern of `*` and `?`. A hidden file is meant by its name alone.
fn matches(name: &str, pattern: &str) -> bool {
    fn from(name: &[char], pattern: &[char]) -> bool {
        let (mut at, mut place) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while at < name.len() {
            match pattern.get(place) {
                Some('*') => {
                    star = Some((place, at));
                    place += 1;
                }
                Some(c) if *c == '?' || *c == name[at] => {
                    at += 1;
                    place += 1;
                }
                // The last star takes one more.
                _ => {
                    let Some((before, taken)) = star else { return false };
                    star = Some((before, taken + 1));
                    (place, at) = (before + 1, taken + 1);
                }
            }
        }
        pattern[place..].iter().all(|c| *c == '*')
    }
    if name.contains('/') || (name.starts_with('.') && !pattern.starts_with('.')) {
        return false;
    }
    from(&name.chars().collect::<Vec<_>>(), &pattern.chars().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::{matches, split};

    #[test]
    fn stars_and_question_marks_match_names() {
        for (name, pattern) in
            [("a.csv", "*.csv"), ("a.csv", "a.csv"), ("a1.csv", "a?.csv"), ("aXbXc", "a*b*c"), ("x", "*")]
        {
            assert!(matches(name, pattern), "{name} {pattern}");
        }
        for (name, pattern) in
            [("a.csv.tmp", "*.csv"), (".a.csv", "*.csv"), ("a.csv", "a?.csv"), ("b/a.csv", "*"), ("", "?")]
        {
            assert!(!matches(name, pattern), "{name} {pattern}");
        }
        assert_eq!(split("inbox/x/*.csv"), ("inbox/x/", "*.csv"));
        assert_eq!(split("a.csv"), ("", "a.csv"));
    }
}
