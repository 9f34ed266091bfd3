//! What others are told of runs, by collectors that are told it.

mod events;
mod lineage;
mod receiver;
mod traces;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use tasks::trail::{Pass, Places, Teller, Told};
use warehouse::{
    lake::Lake,
    runs::{self, Actor, NewRun, Person, Reach, Retry, Trigger, Via},
};
use workflow::{
    endpoint::Endpoint,
    error::TaskError,
    kind::{Registry, TaskContext, TaskKind},
    plan::{self, Known, Plan},
    state::RunState,
    yaml::Document,
};

use self::receiver::Receiver;
use crate::support::World;

/// Ends as it is told to.
struct Moody;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mood {
    /// Attempts up to this one fail.
    #[serde(default)]
    bad_until: i32,
    /// Looks up to this many are in vain.
    #[serde(default)]
    looks: usize,
    /// A file that counts them.
    #[serde(default)]
    count: String,
}

#[async_trait]
impl TaskKind for Moody {
    const NAME: &'static str = "moody";
    const SUMMARY: &'static str = "ends as it is told to";
    const PATIENCE: Option<Duration> = Some(Duration::from_mins(1));
    type Config = Mood;

    async fn run(&self, mood: Mood, task: &TaskContext) -> Result<Value, TaskError> {
        if mood.looks > 0 {
            let seen = std::fs::read_to_string(&mood.count).unwrap_or_default() + "x";
            std::fs::write(&mood.count, &seen).expect("a file");
            if seen.len() <= mood.looks {
                return Err(TaskError::not_yet(Duration::from_millis(1), "nothing there"));
            }
        }
        if task.attempt <= mood.bad_until {
            return Err(TaskError::external(format!("attempt {} had a bad day", task.attempt)));
        }
        Ok(json!({}))
    }
}

/// A project whose runs are told of.
struct Stage {
    world: World,
    registry: Registry,
    receiver: Receiver,
}

impl Stage {
    async fn new(ddl: &str) -> Self {
        let world = World::new(ddl).await;
        let registry = world.registry.clone().with(Moody);
        Self { world, registry, receiver: Receiver::start().await }
    }

    fn pool(&self) -> &PgPool {
        &self.world.pool
    }

    fn lineage(&self) -> Teller {
        let places = Places {
            connections: [("shop".to_owned(), Endpoint::fixed("MariaDB", self.world.mysql_url.clone()))].into(),
            kafka: Endpoint::fixed("Kafka", "127.0.0.1:9092"),
            lake: self.world.folder.path().join("lake").display().to_string(),
            folder: self.world.folder.path().to_owned(),
            page: "http://127.0.0.1:8180".to_owned(),
        };
        self.teller(Told::Lineage {
            url: format!("{}/api/v1/lineage", self.receiver.url),
            namespace: "shop".to_owned(),
            token: Some("s3cret".into()),
            places: Box::new(places),
        })
    }

    fn traces(&self) -> Teller {
        let url = format!("{}/v1/traces", self.receiver.url);
        let headers = BTreeMap::from([("x-api-key".to_owned(), "s3cret".into())]);
        self.teller(Told::Traces { url, service: "sluice".to_owned(), headers })
    }

    fn teller(&self, told: Told) -> Teller {
        Teller::new(self.pool().clone(), self.registry.clone(), told).expect("a teller")
    }

    fn plan(&self, text: &str) -> Plan {
        let document = Document::parse("test.yaml", text).expect("valid YAML");
        let own = |name: &str| [name.to_owned()].into();
        let known = Known { suites: own("orders"), connections: own("shop"), ..Known::default() };
        plan::check(&document, &self.registry, &known).expect("a good DAG")
    }

    /// Runs a DAG to its end.
    async fn run(&self, plan: &Plan) -> (i64, RunState) {
        let new = NewRun { plan, logical_time: Utc::now(), trigger: Trigger::Manual, params: Map::new(), only: None };
        let run_id = runs::create(self.pool(), &new).await.expect("a new run").run_id();
        (run_id, self.drain(run_id).await)
    }

    async fn drain(&self, run_id: i64) -> RunState {
        let lake = Lake::open(self.world.folder.path().join("lake").to_str().expect("a path")).expect("a lake");
        let ended = orchestrator::drain(self.pool(), &self.registry, Some(lake), run_id);
        tokio::time::timeout(Duration::from_mins(1), ended).await.expect("the run ends in time").expect("no error")
    }

    async fn retry(&self, run_id: i64, task: Option<&str>) {
        let ada = Actor { name: "ada".to_owned(), via: Via::Cli };
        let wish = Retry { task, reach: Reach::Downstream, on: None };
        Person::new(self.pool(), &ada).retry(run_id, &wish, false).await.expect("retried");
    }

    /// Lets somebody else lead, as the lease of one that died runs out.
    async fn outlive(&self) {
        let sql = "update sluice.leader set lease_until = clock_timestamp() - interval '1 second'";
        sqlx::query(sql).execute(self.pool()).await.expect(sql);
    }
}

/// Tells all that there is.
async fn tell(teller: &Teller) {
    let begun = Instant::now();
    loop {
        match teller.pass().await.expect("told") {
            Pass::Idle => return,
            Pass::More => {}
            Pass::Soon => tokio::time::sleep(Duration::from_millis(5)).await,
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it never comes to an end");
    }
}
