//! Who runs a server: the caller, or, where the caller is root, the user that the server's package made.

use std::{
    os::unix::{fs::chown, process::CommandExt},
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

    /// Gives a file or folder to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), ServiceError> {
        match self {
            Self::Ours => Ok(()),
            Self::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(ServiceError::io("change the owner of", path))
            }
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
