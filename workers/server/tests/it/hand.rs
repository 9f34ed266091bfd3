//! A DAG that a test starts by hand; nobody works on it.

use async_trait::async_trait;
use chrono::Utc;
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgPool;
use workflow::{
    error::TaskError,
    kind::{Registry, TaskContext, TaskKind},
    plan::{self, Known},
    yaml::Document,
};

struct Nothing;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

#[async_trait]
impl TaskKind for Nothing {
    const NAME: &'static str = "nothing";
    const SUMMARY: &'static str = "Does nothing";
    type Config = NoKeys;

    async fn run(&self, _config: NoKeys, _task: &TaskContext) -> Result<Value, TaskError> {
        Ok(Value::Null)
    }
}

/// Deploys the DAG `by_hand`: two tasks, one after the other, and a parameter.
pub(crate) async fn deploy(pool: &PgPool) {
    let text = "dag: by_hand\nparams: { size: 1 }\ntasks:\n  first: { kind: nothing }\n  then: { kind: nothing, needs: [first] }\n";
    deploy_text(pool, text).await;
}

/// Deploys another version of it: a third task, and another default.
pub(crate) async fn deploy_longer(pool: &PgPool) {
    let text = "dag: by_hand\nparams: { size: 2 }\ntasks:\n  first: { kind: nothing }\n  then: { kind: nothing, needs: [first] }\n  last: { kind: nothing, needs: [then] }\n";
    deploy_text(pool, text).await;
}

/// Deploys the DAG `daily`, which has a schedule.
pub(crate) async fn deploy_daily(pool: &PgPool) {
    deploy_text(pool, "dag: daily\nschedule: { cron: '0 2 * * *' }\ntasks: { only: { kind: nothing } }\n").await;
}

/// Deploys a DAG of tasks of the kind `nothing`; the webhook `shopify` is known.
pub(crate) async fn deploy_text(pool: &PgPool, text: &str) {
    let document = Document::parse("dags/by_hand.yaml", text).expect("valid YAML");
    let known = Known { webhooks: ["shopify".to_owned()].into(), ..Known::default() };
    let plan = plan::check(&document, &Registry::new().with(Nothing), &known).expect("a good DAG");
    warehouse::runs::deploy(pool, &plan, Utc::now()).await.expect("deployed");
}
