//! Where the system's programs are, also those that a user's `PATH` lacks.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{environment, error::ServiceError, server::Service};

/// A program by its name.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    environment::program_folders().into_iter().map(|folder| folder.join(program)).find(|path| is_program(path))
}

/// The first of some programs (names of one thing in several releases), or the error that says how to get it.
pub(crate) fn need(service: Service, names: &[&'static str]) -> Result<PathBuf, ServiceError> {
    names.iter().find_map(|name| find(name)).ok_or(ServiceError::Missing {
        service,
        program: names[0],
        install: service.install(),
    })
}

/// The installed Postgres servers: major version and folder of programs, newest first.
pub(crate) fn postgres() -> Vec<(u32, PathBuf)> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (folder, prefix) in environment::postgres_homes() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(version) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else { continue };
            let Ok(major) = version.parse() else { continue };
            let programs = entry.path().join("bin");
            if is_program(&programs.join("postgres")) && is_program(&programs.join("initdb")) {
                found.push((major, programs));
            }
        }
    }
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
