//! Where the servers' data are: `<home>/data`, or, where a server's user cannot enter the home (a project in
//! root's home), a folder under `/var/lib/sluice` to which `<home>/data` is then a link.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use crate::{
    account::Account,
    error::ServiceError,
    note::{Level, Note, Say},
};

/// Where data go that do not fit into a home.
const ELSEWHERE: &str = "/var/lib/sluice";

/// What of a home holds customers' data, or says where they are.
const PRIVATE: [&str; 4] = ["lake", "outbox", "log", "run"];

/// A home that exists, by its canonical path, with its folders that nobody else may look into. Where we are root,
/// others may pass through the home itself, because the servers' users have to reach their data.
pub fn open_home(home: &Path) -> Result<PathBuf, ServiceError> {
    fs::create_dir_all(home).map_err(ServiceError::io("create", home))?;
    let home = home.canonicalize().map_err(ServiceError::io("open", home))?;
    restrict(&home, if nix::unistd::Uid::effective().is_root() { 0o711 } else { 0o700 })?;
    for name in PRIVATE {
        let folder = home.join(name);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {}
            // A link leads to where somebody wants it, with permissions of their own.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
                    restrict(&folder, 0o700)?;
                }
            }
            Err(error) => return Err(ServiceError::io("create", folder)(error)),
        }
    }
    Ok(home)
}

/// Sets the permissions of a folder that is ours; one of somebody else is theirs to set.
fn restrict(folder: &Path, mode: u32) -> Result<(), ServiceError> {
    let found = fs::metadata(folder).map_err(ServiceError::io("open", folder))?;
    if found.uid() != nix::unistd::Uid::effective().as_raw() || found.mode() & 0o777 == mode {
        return Ok(());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
        .map_err(ServiceError::io("change the permissions of", folder))
}

fn pass_through(folder: &Path) -> Result<(), ServiceError> {
    if !nix::unistd::Uid::effective().is_root() {
        return Ok(());
    }
    let found = fs::metadata(folder).map_err(ServiceError::io("open", folder))?;
    let mode = found.permissions().mode();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o111))
        .map_err(ServiceError::io("change the permissions of", folder))
}

/// The folder of the servers' data, for a home from [`open_home`].
pub(crate) fn data_folder(home: &Path, accounts: &[Account], say: &Say) -> Result<PathBuf, ServiceError> {
    let data = home.join("data");
    let elsewhere = Path::new(ELSEWHERE).join(name_for(home));
    let mended = |text: String| say(&Note { service: None, level: Level::Mended, text });
    match fs::symlink_metadata(&data) {
        Ok(found) if found.is_symlink() => return linked(home, &data, &elsewhere, &mended),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir(&data).map_err(ServiceError::io("create", &data))?;
        }
        Err(error) => return Err(ServiceError::io("open", data)(error)),
    }
    pass_through(&data)?;
    let Some(user) = accounts.iter().find(|account| !account.can_enter(&data)) else { return Ok(data) };
    move_aside(&elsewhere, "belongs to a project that was here before", &mended)?;
    make_elsewhere()?;
    // A project that was moved to where it cannot be entered brings its data along.
    if fs::remove_dir(&data).is_ok() {
        fs::create_dir(&elsewhere).map_err(ServiceError::io("create", &elsewhere))?;
        pass_through(&elsewhere)?;
    } else {
        fs::rename(&data, &elsewhere).map_err(ServiceError::io("move to /var/lib/sluice", &data))?;
    }
    symlink(&elsewhere, &data).map_err(ServiceError::io("link", &data))?;
    let name = if let Account::Other { name, .. } = user { name } else { "" };
    mended(format!(
        "the user `{name}` cannot enter {}, so the data are in {} (linked from there)",
        home.display(),
        elsewhere.display()
    ));
    Ok(elsewhere)
}

/// The data folder behind a link: ours, or, in a home that was moved or copied here, the other home's.
fn linked(home: &Path, data: &Path, elsewhere: &Path, mended: &dyn Fn(String)) -> Result<PathBuf, ServiceError> {
    let target = fs::read_link(data).map_err(ServiceError::io("read", data))?;
    if target == elsewhere {
        if !target.is_dir() {
            make_elsewhere()?;
            fs::create_dir(&target).map_err(ServiceError::io("create", &target))?;
            pass_through(&target)?;
            mended(format!("{} was gone; begun anew", target.display()));
        }
        return Ok(target);
    }
    // The other home may still be there and run: what it has is not ours.
    fs::remove_file(data).map_err(ServiceError::io("remove", data))?;
    make_elsewhere()?;
    move_aside(elsewhere, "belongs to a project that was here before", mended)?;
    fs::create_dir(elsewhere).map_err(ServiceError::io("create", elsewhere))?;
    pass_through(elsewhere)?;
    symlink(elsewhere, data).map_err(ServiceError::io("link", data))?;
    mended(format!(
        "{} was moved or copied here: its data stay in {}, and this one begins empty",
        home.display(),
        target.display()
    ));
    Ok(elsewhere.to_owned())
}

fn make_elsewhere() -> Result<(), ServiceError> {
    let folder = Path::new(ELSEWHERE);
    fs::create_dir_all(folder).map_err(ServiceError::io("create", folder))?;
    pass_through(folder)
}

/// Moves something out of the way, if it is there, and says why.
pub(crate) fn move_aside(path: &Path, why: &str, mended: &dyn Fn(String)) -> Result<(), ServiceError> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = (1..u32::MAX)
        .map(|number| path.with_file_name(format!("{name}.aside-{number}")))
        .find(|aside| fs::symlink_metadata(aside).is_err())
        .unwrap_or_else(|| path.with_extension("aside"));
    fs::rename(path, &aside).map_err(ServiceError::io("move aside", path))?;
    mended(format!("{} {why}; moved to {}", path.display(), aside.display()));
    Ok(())
}

/// A short name for a path that is its own (FNV-1a, 64 bits).
fn name_for(path: &Path) -> String {
    let hash = path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn nobody_else_looks_into_a_home() {
        let around = tempfile::tempdir().unwrap();
        let home = around.path().join("home");
        let linked = around.path().join("large-disk");
        for folder in [&home, &home.join("lake"), &linked] {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(&linked, home.join("outbox")).unwrap();
        let home = open_home(&home).unwrap();
        let passed = if nix::unistd::Uid::effective().is_root() { 0o711 } else { 0o700 };
        assert_eq!(mode(&home), passed);
        for name in ["lake", "log", "run"] {
            assert_eq!(mode(&home.join(name)), 0o700, "{name}");
        }
        assert_eq!(mode(&linked), 0o755, "what is linked keeps its permissions");
        open_home(&home).unwrap();
    }
}
