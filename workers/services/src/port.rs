//! Loopback ports: the one that was used before, else the next that is free.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use crate::{error::ServiceError, server::Service};

/// How many ports are tried.
const SPAN: u16 = 200;

/// Whether nothing listens on a loopback port.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The first free port from `from` on.
pub(crate) fn next_free(service: Service, from: u16) -> Result<u16, ServiceError> {
    let to = from.saturating_add(SPAN);
    (from..=to).find(|port| is_free(*port)).ok_or(ServiceError::NoPort { service, from, to })
}

/// Whether a server's log says that its port was taken. All three word it as the C library does.
pub(crate) fn was_taken(words: &str) -> bool {
    words.contains("Address already in use")
}

/// A listener's address on loopback.
pub(crate) fn address(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_stepped_over() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(!is_free(port));
        assert!(next_free(Service::Postgres, port).unwrap() > port);
    }
}
