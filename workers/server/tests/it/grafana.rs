//! Prometheus' rules, tried on a real Prometheus. The panels of the dashboards are tried on what a demo pass leaves.

use testkit::prometheus::{Prometheus, compose};
use tokio::process::Command;

use crate::TestServer;

#[tokio::test]
async fn a_failed_run_fires_an_alert_and_its_success_ends_it() {
    let server = TestServer::seeded().await;
    let prometheus = Prometheus::watching(&server.url).await;
    let quiet = !prometheus.firing().await.contains(&"SluiceRunFailed".to_owned());
    assert!(quiet, "no DAG's latest run has failed");
    let end = "update sluice.dag_run set state = $1 where run_id = (select max(run_id) from sluice.dag_run where dag = 'ratings')";
    for (state, wanted) in [("failed", true), ("success", false)] {
        sqlx::query(end).bind(state).execute(server.pool()).await.expect("updated");
        prometheus
            .until(&format!("an alert that {}", if wanted { "fires" } else { "ends" }), async || {
                prometheus.firing().await.contains(&"SluiceRunFailed".to_owned()) == wanted
            })
            .await;
    }
}

#[tokio::test]
async fn rules_and_configuration_pass_promtool() {
    for arguments in
        [["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", "alerts.test.yml"]]
    {
        let output = Command::new("promtool").args(arguments).current_dir(compose()).output().await;
        let output =
            output.expect("promtool is not installed; `make test` installs it, or: apt-get install prometheus");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_rule_is_shown_to_fire_and_to_stay_quiet() {
    let rules = std::fs::read_to_string(compose().join("alerts.yml")).expect("alerts.yml");
    let tests = std::fs::read_to_string(compose().join("alerts.test.yml")).expect("alerts.test.yml");
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 7);
    for name in names {
        assert!(tests.contains(&format!("name: {name} fires")), "{name} is not shown to fire");
        assert!(tests.contains(&format!("name: {name} is quiet")), "{name} is not shown to stay quiet");
    }
}
