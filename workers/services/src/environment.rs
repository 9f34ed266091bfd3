//! The one place of this crate that reads the environment.

use std::{env, path::PathBuf};

/// Where things that serve all projects of this machine are kept (Kafka's jars): `SLUICE_CACHE`, else
/// `/var/cache/sluice` for root (whose home other users cannot enter), else the user's cache folder.
pub(crate) fn cache() -> PathBuf {
    if let Some(chosen) = env::var_os("SLUICE_CACHE") {
        return chosen.into();
    }
    if nix::unistd::Uid::effective().is_root() {
        return shared_cache();
    }
    match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache).join("sluice"),
        (None, Some(home)) => PathBuf::from(home).join(".cache/sluice"),
        (None, None) => env::temp_dir().join("sluice-cache"),
    }
}

/// The cache that any user can enter.
pub(crate) fn shared_cache() -> PathBuf {
    "/var/cache/sluice".into()
}

/// Folders where programs are looked for: `PATH`, and those that a user's `PATH` often lacks.
pub(crate) fn program_folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let brew = env::var("HOMEBREW_PREFIX").unwrap_or_else(|_| "/opt/homebrew".to_owned());
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    for formula in ["mariadb", "openjdk@17", "openjdk@21", "openjdk", "maven"] {
        folders.push(PathBuf::from(&brew).join("opt").join(formula).join("bin"));
    }
    folders
}

/// Folders that may each hold `<version>/bin` of a Postgres server, with the part before the version.
pub(crate) fn postgres_homes() -> Vec<(PathBuf, &'static str)> {
    let brew = env::var("HOMEBREW_PREFIX").unwrap_or_else(|_| "/opt/homebrew".to_owned());
    vec![
        ("/usr/lib/postgresql".into(), ""),
        ("/usr".into(), "pgsql-"),
        (PathBuf::from(&brew).join("opt"), "postgresql@"),
        ("/usr/local/opt".into(), "postgresql@"),
    ]
}

/// Whether a benchmark runs, which measures servers that wait for the disk.
pub(crate) fn is_bench() -> bool {
    env::var_os("SLUICE_BENCH").is_some()
}

/// A variable that names a test server.
pub(crate) fn test_server(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}
