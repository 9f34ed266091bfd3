//! Passwords and URLs that are never printed by accident.

use std::{fmt, fs::File, io::Read, path::Path};

use serde::{Deserialize, Serialize};

use crate::error::ServiceError;

/// A generated password: 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Password(String);

impl Password {
    /// A new one from the system's randomness.
    pub(crate) fn generate() -> Result<Self, ServiceError> {
        Ok(Self(format!("{:032x}", u128::from_be_bytes(random_bytes()?))))
    }

    /// The password itself, for a configuration file or a URL.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// 16 bytes from the system's randomness.
pub(crate) fn random_bytes() -> Result<[u8; 16], ServiceError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let mut file = File::open(source).map_err(ServiceError::io("open", source))?;
    file.read_exact(&mut bytes).map_err(ServiceError::io("read", source))?;
    Ok(bytes)
}

/// Where a service is. Printing it hides the password; [`ServiceUrl::expose`] and its JSON form do not.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// From a URL, or from Kafka's `host:port`.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, password included.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return out.write_str(&self.0) };
        let Some((user, place)) = rest.rsplit_once('@') else { return out.write_str(&self.0) };
        match user.split_once(':') {
            Some((name, _)) => write!(out, "{scheme}://{name}:***@{place}"),
            None => out.write_str(&self.0),
        }
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_hides_the_password_and_nothing_else() {
        let url = ServiceUrl::new("postgres://sluice:a@b:c@127.0.0.1:25432/sluice");
        assert_eq!(url.to_string(), "postgres://sluice:***@127.0.0.1:25432/sluice");
        assert_eq!(format!("{url:?}"), url.to_string());
        assert_eq!(ServiceUrl::new("127.0.0.1:29092").to_string(), "127.0.0.1:29092");
        assert_eq!(ServiceUrl::new("http://127.0.0.1:8180").to_string(), "http://127.0.0.1:8180");
    }

    #[test]
    fn passwords_differ_and_do_not_print() {
        let (one, two) = (Password::generate().unwrap(), Password::generate().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 32);
        assert_eq!(format!("{one:?}"), "***");
    }
}
