//! Kafka's jars: fetched with Maven from a pinned list, once per machine.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{account::Account, environment, error::ServiceError, process, programs, server::Service, state};

const POM: &str = include_str!("../../../compose/local/kafka/pom.xml");
/// What copies the jars.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// The version in the pom.
const VERSION: &str = "4.1.0";

/// The folder of the jars, fetched if need be, in a cache that the server's user can enter.
pub(crate) fn folder(account: &Account, say: &dyn Fn(String)) -> Result<PathBuf, ServiceError> {
    let chosen = environment::cache();
    let folder = fetch(&chosen, say)?;
    if account.can_enter(&folder) {
        return Ok(folder);
    }
    say(format!("its user cannot enter {}; the jars go to /var/cache/sluice", chosen.display()));
    fetch(&environment::shared_cache(), say)
}

fn fetch(cache: &Path, say: &dyn Fn(String)) -> Result<PathBuf, ServiceError> {
    let name = format!("kafka-{VERSION}");
    let folder = cache.join(&name);
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(cache).map_err(ServiceError::io("create", cache))?;
    let lock = File::create(cache.join("lock")).map_err(ServiceError::io("lock", cache))?;
    lock.lock().map_err(ServiceError::io("lock", cache))?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let maven = programs::need(Service::Kafka, &["mvn"])?;
    say(format!("fetching Apache Kafka {VERSION} with Maven into {}", folder.display()));
    let new = cache.join(format!("{name}.new"));
    if new.exists() {
        fs::remove_dir_all(&new).map_err(ServiceError::io("remove", &new))?;
    }
    fs::create_dir(&new).map_err(ServiceError::io("create", &new))?;
    let pom = cache.join(format!("{name}.pom.xml"));
    state::write_private(&pom, POM, &Account::Ours)?;
    let output = Command::new(maven)
        .args(["--batch-mode", "--quiet", "--strict-checksums", "-Dstyle.color=never", "--file"])
        .arg(&pom)
        .args([PLUGIN, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", new.display()))
        .output()
        .map_err(ServiceError::io("start", "mvn"))?;
    if !output.status.success() || !new.join(format!("kafka_2.13-{VERSION}.jar")).exists() {
        let words = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&words);
        let error =
            text.lines().find(|line| line.contains("ERROR")).map_or_else(|| process::summary(&text), Into::into);
        return Err(ServiceError::Fetch { reason: error });
    }
    fs::rename(&new, &folder).map_err(ServiceError::io("rename", &new))?;
    Ok(folder)
}
