//! Apache Kafka in KRaft mode: one JVM that is broker and controller.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use crate::{
    error::ServiceError,
    jars, port, process,
    process::{Identity, Launch},
    programs,
    secret::{self, Password, ServiceUrl},
    server::{Ports, Server, Service, Site},
    state,
};

const CONFIGURATION: &str = include_str!("../../../compose/local/kafka/server.properties");

/// See the module.
pub(crate) struct Kafka;

impl Server for Kafka {
    fn first_port(&self) -> u16 {
        29092
    }

    fn initialise(&self, site: &Site<'_>, folder: &Path, _password: &Password) -> Result<(), ServiceError> {
        // Formatting asks for a whole configuration; the ports in it do not matter yet.
        configure(site, folder, Ports { main: 29092, controller: 30092 })?;
        let mut format = Command::new(java()?);
        format.args(jvm(site)?).args(["kafka.tools.StorageTool", "format", "-t"]).arg(cluster_id()?);
        format.arg("-c").arg(folder.join("server.properties")).current_dir(folder).env_clear();
        site.account.apply(&mut format);
        let output = format.output().map_err(ServiceError::io("start", "java"))?;
        if output.status.success() {
            return Ok(());
        }
        let words = [output.stdout, output.stderr].concat();
        Err(site.failed("initialise its data", process::summary(&String::from_utf8_lossy(&words))))
    }

    fn is_whole(&self, folder: &Path) -> bool {
        formatted_cluster(folder).is_some()
    }

    fn set_password(&self, _site: &Site<'_>, _password: &Password) -> Result<(), ServiceError> {
        Ok(())
    }

    fn launch(&self, site: &Site<'_>, ports: Ports, _password: &Password) -> Result<Launch, ServiceError> {
        configure(site, &site.folder, ports)?;
        let mut args = jvm(site)?;
        args.push("kafka.Kafka".to_owned());
        args.push(site.folder.join("server.properties").display().to_string());
        Ok(Launch {
            program: java()?,
            args: args.into_iter().map(Into::into).collect(),
            environment: Some(vec![("PATH", "/usr/bin:/bin".into()), ("LANG", "C.UTF-8".into())]),
            folder: site.folder.clone(),
            account: site.account.clone(),
        })
    }

    fn is_ready(&self, site: &Site<'_>, _process: &Identity, port: u16) -> bool {
        // Another project's Kafka may have taken the port first; it has another cluster id.
        cluster_on(port).is_some_and(|cluster| formatted_cluster(&site.folder) == Some(cluster))
    }

    fn answers(&self, port: u16) -> bool {
        cluster_on(port).is_some()
    }

    fn url(&self, port: u16, _password: &Password) -> ServiceUrl {
        ServiceUrl::new(format!("127.0.0.1:{port}"))
    }
}

fn java() -> Result<std::path::PathBuf, ServiceError> {
    programs::need(Service::Kafka, &["java"])
}

/// Arguments of the JVM, up to the class to run.
fn jvm(site: &Site<'_>) -> Result<Vec<String>, ServiceError> {
    let heap = if site.purpose.is_scratch() { "-Xmx400m" } else { "-Xmx256m" };
    let libraries = jars::folder(&site.account, &|text| site.progress(text))?;
    let mut args: Vec<String> =
        [heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto"]
            .map(Into::into)
            .into();
    args.push("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".to_owned());
    args.push("-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned());
    args.extend(["-cp".to_owned(), format!("{}/*", libraries.display())]);
    Ok(args)
}

fn configure(site: &Site<'_>, folder: &Path, ports: Ports) -> Result<(), ServiceError> {
    let Ports { main, controller } = ports;
    let text = format!(
        "{CONFIGURATION}\nlisteners=PLAINTEXT://127.0.0.1:{main},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{main}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\nlog.dirs={}\n",
        folder.join("data").display()
    );
    let path = folder.join("server.properties");
    state::write_private(&path, &text, &site.account)
}

/// A new cluster id: 16 random bytes in URL-safe base 64, never beginning with a dash.
fn cluster_id() -> Result<String, ServiceError> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = secret::random_bytes()?;
    bytes[0] &= 0x7f;
    let number = u128::from_be_bytes(bytes);
    // 22 digits of 6 bits: the last one holds 2 bits of the number and 4 of padding.
    let digit = |place: u32| {
        let bits = if place == 21 { number << 4 } else { number >> (122 - 6 * place) };
        char::from(DIGITS[usize::try_from(bits & 63).unwrap_or(0)])
    };
    Ok((0..22).map(digit).collect())
}

fn formatted_cluster(folder: &Path) -> Option<String> {
    let written = fs::read_to_string(folder.join("data/meta.properties")).ok()?;
    written.lines().find_map(|line| line.strip_prefix("cluster.id=")).map(|id| id.trim().to_owned())
}

/// The id of the cluster that answers on a port and has a broker that takes clients.
fn cluster_on(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&port::address(port).into(), Duration::from_millis(500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    // Metadata, version 2, correlation id 1, client "sluice", no topics.
    let request = b"\x00\x03\x00\x02\x00\x00\x00\x01\x00\x06sluice\x00\x00\x00\x00";
    stream.write_all(&u32::try_from(request.len()).ok()?.to_be_bytes()).ok()?;
    stream.write_all(request).ok()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok().filter(|length| *length < 65_536)?;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).ok()?;
    read_metadata(&answer)
}

/// Correlation id, brokers (id, host, port, rack), cluster id: what comes after does not matter here.
fn read_metadata(answer: &[u8]) -> Option<String> {
    let mut rest = answer.get(4..)?;
    let brokers = take_number(&mut rest)?;
    if brokers == 0 {
        return None;
    }
    for _ in 0..brokers {
        take(&mut rest, 4)?;
        take_text(&mut rest)?;
        take(&mut rest, 4)?;
        take_text(&mut rest)?;
    }
    take_text(&mut rest)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    take(rest, 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// A string with its length in two bytes; a length of -1 is none, read as empty.
fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = i16::from_be_bytes(take(rest, 2)?.try_into().ok()?);
    let text = take(rest, usize::try_from(length.max(0)).ok()?)?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_name_the_cluster_once_a_broker_takes_clients() {
        let broker = b"\0\0\0\x01\0\x09127.0.0.1\0\0\x71\xa4\xff\xff";
        let cluster = b"\0\x03abc\0\0\0\x01\0\0\0\0";
        let ready = [b"\0\0\0\x01\0\0\0\x01".as_slice(), broker, cluster].concat();
        assert_eq!(read_metadata(&ready), Some("abc".to_owned()));
        let fenced = [b"\0\0\0\x01\0\0\0\0".as_slice(), cluster].concat();
        assert_eq!(read_metadata(&fenced), None);
        assert_eq!(read_metadata(&ready[..20]), None, "an answer that is cut off");
    }

    #[test]
    fn cluster_ids_are_22_digits() {
        let id = cluster_id().unwrap();
        assert_eq!(id.len(), 22);
        assert!(!id.starts_with('-'));
    }
}
