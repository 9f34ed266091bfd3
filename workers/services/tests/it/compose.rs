//! `compose/docker-compose.yml`, as far as it can be judged without Docker; and by `docker compose config` where
//! that is there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use workflow::{project::Project, yaml::Document};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose")
}

/// The services, with what they merge (`<<`) filled in.
fn services() -> (Value, Map<String, Value>) {
    let text = fs::read_to_string(folder().join("docker-compose.yml")).unwrap();
    let file = Document::parse("docker-compose.yml", &text).unwrap().value;
    let mut services = file["services"].as_object().unwrap().clone();
    for service in services.values_mut() {
        let service = service.as_object_mut().unwrap();
        for (key, value) in service.remove("<<").and_then(|base| base.as_object().cloned()).unwrap_or_default() {
            service.entry(key).or_insert(value);
        }
    }
    (file, services)
}

#[test]
fn every_image_is_pinned_and_every_service_watched() {
    let (_, services) = services();
    for (name, service) in &services {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag != "latest" && tag.contains('.')), "{name}: {image} is not pinned");
        let watched = service.get("healthcheck").is_some_and(|check| check["test"].is_array());
        assert!(watched || name == "lake_bucket", "{name} has no health check");
        for port in service.get("ports").and_then(Value::as_array).into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} listens beyond loopback: {port}");
        }
    }
    for wanted in ["postgres", "mysql", "kafka", "minio", "prometheus", "alertmanager", "grafana", "mail"] {
        assert!(services.contains_key(wanted), "{wanted} is missing");
    }
    for (name, command) in [("server", "serve"), ("scheduler", "schedule"), ("worker", "work"), ("stream", "stream")] {
        assert_eq!(services[name]["command"][0], command);
    }
}

#[test]
fn what_is_mounted_and_waited_for_is_there() {
    let (file, services) = services();
    for (name, service) in &services {
        for volume in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            if source.starts_with('.') {
                assert!(folder().join(source).exists(), "{name} mounts {source}, which does not exist");
            } else {
                assert!(file["volumes"].get(source).is_some(), "{name}: the volume {source} is not declared");
            }
        }
        for other in service.get("depends_on").and_then(Value::as_object).into_iter().flatten() {
            assert!(services.contains_key(other.0), "{name} waits for {}, which does not exist", other.0);
        }
    }
}

#[test]
fn the_image_is_built_with_the_toolchain_of_the_workspace_and_does_not_run_as_root() {
    let dockerfile = fs::read_to_string(folder().join("Dockerfile")).unwrap();
    let toolchain = fs::read_to_string(folder().join("../rust-toolchain.toml")).unwrap();
    let version = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    assert!(
        dockerfile.contains(&format!("FROM rust:{version}-")),
        "the image is built with another Rust than {version}"
    );
    let last_stage = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last_stage.contains("\nUSER sluice\n"));
    for line in dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let source = line.split(' ').next().unwrap();
        assert!(source.starts_with("--") || folder().join("..").join(source).exists(), "{source} does not exist");
    }
}

#[test]
fn the_project_in_the_image_is_the_one_of_the_repository() {
    let read = |path: PathBuf| Document::parse("sluice.yaml", &fs::read_to_string(path).unwrap()).unwrap().value;
    let (ours, theirs) = (read(folder().join("../sluice.yaml")), read(folder().join("sluice.yaml")));
    for key in ["project", "timezone", "currency", "services", "channels"] {
        assert_eq!(ours[key], theirs[key], "`{key}` differs between sluice.yaml and compose/sluice.yaml");
    }
}

#[test]
fn the_lake_is_the_bucket_that_is_made_for_it() {
    let (_, services) = services();
    let text = fs::read_to_string(folder().join("sluice.yaml")).unwrap();
    let given = |name: &str| services["worker"]["environment"].get(name)?.as_str().map(str::to_owned);
    let project = Project::parse(&text, given).unwrap();
    let (lake, endpoint) = (project.lake.unwrap(), project.s3.endpoint.unwrap());
    let bucket = lake.strip_prefix("s3://").unwrap().split('/').next().unwrap();
    let made = services["lake_bucket"]["command"][0].as_str().unwrap();
    assert!(made.ends_with(&format!("minio/{bucket}")), "{made} does not make {lake}");
    let host = endpoint.strip_prefix("http://").unwrap().split(':').next().unwrap();
    assert!(services.contains_key(host), "{endpoint}");
    let key = project.s3.access_key.unwrap();
    assert_eq!(services["minio"]["environment"]["MINIO_ROOT_USER"], key.expose_secret());
    let secret = project.s3.secret_key.unwrap();
    assert_eq!(services["minio"]["environment"]["MINIO_ROOT_PASSWORD"], secret.expose_secret());
    assert_eq!(services["worker"]["depends_on"]["lake_bucket"]["condition"], "service_completed_successfully");
}

#[test]
fn what_prometheus_scrapes_is_a_name_that_the_server_answers_as() {
    let read = |name: &str| Document::parse(name, &fs::read_to_string(folder().join(name)).unwrap()).unwrap().value;
    let hosts = read("sluice.yaml")["web"]["hosts"].clone();
    let scraped = read("prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"][0].clone();
    let (host, port) = scraped.as_str().unwrap().split_once(':').unwrap();
    assert!(hosts.as_array().unwrap().iter().any(|known| known == host), "{host} is not in {hosts}");
    assert_eq!(read("sluice.yaml")["web"]["port"].to_string(), port);
    assert!(services().1.contains_key(host));
}

#[test]
fn docker_compose_agrees() {
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    if !plugin.is_ok_and(|output| output.status.success()) {
        // Without the plugin, the tests above are what there is.
        return;
    }
    let file = folder().join("docker-compose.yml");
    let checked =
        Command::new("docker").args(["compose", "-f"]).arg(file).args(["config", "--quiet"]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
