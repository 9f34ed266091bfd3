//! Who runs a server: the caller, or, where the caller is root, the user that the server's package made.

use std::{
    fs::File,
    io,
    os::unix::{
        fs::{fchown, lchown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::unistd::{Uid, User};

use crate::{error::ServiceError, server::Service};

/// A user to run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// Whoever we are; never root for a server.
    Ours,
    /// A user to step down to.
    Other {
        /// Its name.
        name: &'static str,
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

impl Account {
    /// The account of a server's package, if we are root; ourselves otherwise.
    pub(crate) fn for_service(service: Service) -> Result<Self, ServiceError> {
        if !Uid::effective().is_root() {
            return Ok(Self::Ours);
        }
        let names = service.accounts();
        names
            .iter()
            .find_map(|name| {
                let user = User::from_name(name).ok().flatten()?;
                Some(Self::Other { name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            })
            .ok_or(ServiceError::NoAccount { service, user: names[0] })
    }

    /// Makes a command run as this user, without our other groups.
    pub(crate) fn apply(&self, command: &mut Command) {
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
    }

    /// Gives a file or folder to this user; of a link the link itself, as whoever owns the folder around may have put
    /// one there.
    pub(crate) fn own(&self, path: &Path) -> Result<(), ServiceError> {
        match self {
            Self::Ours => Ok(()),
            Self::Other { uid, gid, .. } => {
                lchown(path, Some(*uid), Some(*gid)).map_err(ServiceError::io("change the owner of", path))
            }
        }
    }

    /// Gives an open file to this user.
    pub(crate) fn own_file(&self, file: &File) -> io::Result<()> {
        match self {
            Self::Ours => Ok(()),
            Self::Other { uid, gid, .. } => fchown(file, Some(*uid), Some(*gid)),
        }
    }

    /// Whether this user can make files in a folder: asked of the system itself, as that user.
    pub(crate) fn can_write(&self, folder: &Path) -> bool {
        self.can(r#"test -w "$1""#, folder)
    }

    /// Whether this user can go into a folder: asked of the system itself, as that user.
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        self.can(r#"cd "$1""#, folder)
    }

    fn can(&self, script: &str, folder: &Path) -> bool {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(folder).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.apply(&mut command);
        command.status().is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use nix::unistd::Gid;

    use super::*;

    #[test]
    fn a_link_is_given_away_itself_and_not_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        // Whoever follows this link finds nothing.
        symlink(folder.path().join("absent"), &link).unwrap();
        Account::Other { name: "us", uid, gid }.own(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
