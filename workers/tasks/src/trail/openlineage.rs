//! Events of `OpenLineage` 2-0-2: a DAG is a job, each of its tasks is another, a run and each attempt is a run.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use uuid::Uuid;
use warehouse::trail::{AttemptFacts, CheckFacts, ColumnFacts, EndFacts, Event, InputFacts, LoadFacts, RunFacts};
use workflow::{
    cause,
    datasets::{Dataset, Datasets, Touched},
    kind::{DataInterval, Registry},
    plan::{Plan, PlannedTask},
    template::{self, Item, Scope},
};

use super::{
    ids::Ids,
    places::{Name, Places},
};

/// Who says it.
const PRODUCER: &str = env!("CARGO_PKG_REPOSITORY");
const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// Encodes events.
#[derive(Debug, Clone)]
pub(super) struct OpenLineage {
    pub(super) ids: Ids,
    /// Of the jobs.
    pub(super) namespace: String,
    pub(super) places: Places,
    pub(super) registry: Registry,
    /// The warehouse, for its address.
    pub(super) pool: PgPool,
}

/// What is known of attempts beyond the walk.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) plans: HashMap<(String, String), Arc<Plan>>,
    pub(super) loads: Vec<LoadFacts>,
    pub(super) checks: Vec<CheckFacts>,
    pub(super) inputs: Vec<InputFacts>,
    pub(super) columns: Vec<ColumnFacts>,
}

impl Known {
    fn plan(&self, run: &RunFacts) -> Option<&Plan> {
        self.plans.get(&(run.dag.clone(), run.version.clone())).map(Arc::as_ref)
    }
}

/// A dataset of an event: its name, how much of it, and whether it is a table of ours.
struct Named<'a> {
    name: Name,
    touched: Touched,
    checks: Vec<&'a CheckFacts>,
}

impl OpenLineage {
    /// The event for what happened.
    pub(super) fn event(&self, event: &Event, known: &Known) -> Value {
        match event {
            Event::RunBegan(run) => self.of_run(run, "START", run.began, None, known),
            Event::RunEnded(run, end) => self.of_run(run, kind_of(&end.state), end.at, Some(end), known),
            Event::AttemptBegan(run, attempt) => self.of_attempt(run, attempt, None, known),
            Event::AttemptEnded(run, attempt, end) => self.of_attempt(run, attempt, Some(end), known),
        }
    }

    fn of_run(&self, run: &RunFacts, kind: &str, at: DateTime<Utc>, end: Option<&EndFacts>, known: &Known) -> Value {
        let mut facets = run_facets(run, end, &[]);
        if let Some((cause, created_at)) = run.causes.first().filter(|_| run.causes.len() == 1) {
            let of =
                json!({ "key": "sluice.caused_by", "value": self.ids.whole(*cause, *created_at), "source": "SLUICE" });
            if let Some(Value::Array(tags)) = facets["tags"].get_mut("tags") {
                tags.push(of);
            }
        }
        let description = known.plan(run).map(|plan| plan.description.as_str()).unwrap_or_default();
        let job = self.job(&run.dag, "DAG", run, description, None);
        envelope(kind, at, self.ids.run(run), facets, &job, &[], &[])
    }

    fn of_attempt(&self, run: &RunFacts, attempt: &AttemptFacts, end: Option<&EndFacts>, known: &Known) -> Value {
        let planned = known.plan(run).and_then(|plan| plan.task_of_row(&attempt.task));
        let number = attempt.attempt.to_string();
        let mut more =
            vec![("sluice.task", attempt.task.as_str()), ("sluice.attempt", &number), ("sluice.kind", &attempt.kind)];
        more.extend(attempt.worker.as_deref().map(|worker| ("sluice.worker", worker)));
        let mut facets = run_facets(run, end, &more);
        let parent = json!({
            "run": { "runId": self.ids.run(run) },
            "job": { "namespace": self.namespace, "name": run.dag },
        });
        let mut of_parent = facet("facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet", parent.clone());
        of_parent["root"] = parent;
        facets["parent"] = of_parent;
        let task = attempt.parent.as_deref().unwrap_or(&attempt.task);
        let config = planned.map(|planned| config(run, attempt, planned, known));
        let query = config.as_ref().and_then(|config| config["query"].as_str());
        let job = self.job(&format!("{}.{task}", run.dag), "TASK", run, "", query);
        let (inputs, outputs) = self.datasets(run, attempt, end, config.as_ref(), known);
        let (kind, at) = end.map_or(("START", attempt.started_at), |end| (kind_of(&end.state), end.at));
        let inputs: Vec<Value> = inputs.iter().map(|input| input_of(input, known, &table_of(input))).collect();
        let outputs: Vec<Value> = outputs.iter().map(|output| output_of(output, known, &table_of(output))).collect();
        envelope(kind, at, self.ids.attempt(run, attempt), facets, &job, &inputs, &outputs)
    }

    fn job(&self, name: &str, kind: &str, run: &RunFacts, description: &str, query: Option<&str>) -> Value {
        let mut facets = json!({
            "jobType": facet(
                "facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
                json!({ "processingType": "BATCH", "integration": "SLUICE", "jobType": kind }),
            ),
            "tags": facet(
                "facets/1-0-0/TagsJobFacet.json#/$defs/TagsJobFacet",
                json!({ "tags": [{ "key": "sluice.version", "value": run.version, "source": "SLUICE" }] }),
            ),
        });
        if !description.is_empty() {
            let text = json!({ "description": description });
            facets["documentation"] =
                facet("facets/1-1-0/DocumentationJobFacet.json#/$defs/DocumentationJobFacet", text);
        }
        if let Some(query) = query {
            let text = json!({ "query": query, "dialect": "postgres" });
            facets["sql"] = facet("facets/1-1-0/SQLJobFacet.json#/$defs/SQLJobFacet", text);
        }
        json!({ "namespace": self.namespace, "name": name, "facets": facets })
    }

    /// What the attempt read and wrote, each once.
    fn datasets<'a>(
        &self,
        run: &RunFacts,
        attempt: &AttemptFacts,
        end: Option<&EndFacts>,
        config: Option<&Value>,
        known: &'a Known,
    ) -> (Vec<Named<'a>>, Vec<Named<'a>>) {
        let of_kind = |kind: &str, config: &Value, output: Option<&Value>| {
            self.registry.get(kind).map(|kind| kind.datasets(config, output)).unwrap_or_default()
        };
        let Datasets { reads, mut writes } = config
            .map(|config| of_kind(&attempt.kind, config, end.and_then(|end| end.output.as_ref())))
            .unwrap_or_default();
        let mine = |id: i64| Some(id) == attempt.attempt_id;
        // A beginning says the same whether or not the end is known by now.
        let of_end = |id: i64| end.is_some() && mine(id);
        if end.is_none() {
            writes.clear();
        }
        for load in known.loads.iter().filter(|load| of_end(load.attempt_id) && load.verdict != "failed") {
            let table = Touched::table(&load.dataset, u64::try_from(load.loaded).ok());
            match writes.iter_mut().find(|written| written.dataset == table.dataset) {
                // What the ledger says is what readers see.
                Some(written) => written.rows = table.rows,
                None => writes.push(table),
            }
        }
        let output_of = |task: &str| {
            let planned = known.plan(run)?.task_of_row(task)?;
            let left = known.inputs.iter().find(|input| mine(input.attempt_id) && input.task == task);
            Some(of_kind(&planned.kind, &planned.config, left.map(|left| &left.output)).writes)
        };
        let reads = reads.into_iter().flat_map(|read| match &read.dataset {
            Dataset::OutputOf(task) => output_of(task).unwrap_or_default(),
            _ => vec![read],
        });
        let checks: Vec<&CheckFacts> = known.checks.iter().filter(|check| of_end(check.attempt_id)).collect();
        let named = |touched: Vec<Touched>| {
            let mut named: Vec<Named<'a>> = Vec::new();
            for touched in touched {
                if let Some(name) = self.places.name(&touched.dataset, &self.pool)
                    && !named.iter().any(|other| other.name == name)
                {
                    named.push(Named { name, touched, checks: Vec::new() });
                }
            }
            named
        };
        let (mut inputs, mut outputs) = (named(reads.collect()), named(writes));
        // A model is judged as it is built, a batch or a table as it is read.
        for check in checks {
            let of_table = |named: &&mut Named<'_>| named.touched.dataset == Dataset::Table(check.dataset.clone());
            let output = outputs.iter_mut().find(of_table);
            let found = if attempt.kind == "transform" { output } else { None };
            let found = match found {
                None if inputs.len() == 1 => inputs.first_mut(),
                None => inputs.iter_mut().find(of_table),
                some => some,
            };
            if let Some(found) = found {
                found.checks.push(check);
            }
        }
        (inputs, outputs)
    }

    /// Tables of ours that attempts name, for the columns that they have.
    pub(super) fn tables(&self, events: &[Event], known: &Known) -> Vec<String> {
        let mut tables = Vec::new();
        for event in events {
            if let Event::AttemptEnded(run, attempt, end) = event {
                let planned = known.plan(run).and_then(|plan| plan.task_of_row(&attempt.task));
                let config = planned.map(|planned| config(run, attempt, planned, known));
                let (inputs, outputs) = self.datasets(run, attempt, Some(end), config.as_ref(), known);
                tables.extend(inputs.iter().chain(&outputs).map(|named| table_of(named)));
            }
        }
        tables.retain(|table| !table.is_empty());
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}

/// The task's keys as the attempt had them, as far as they can be rendered.
fn config(run: &RunFacts, attempt: &AttemptFacts, planned: &PlannedTask, known: &Known) -> Value {
    let outputs: BTreeMap<String, Value> = known
        .inputs
        .iter()
        .filter(|input| Some(input.attempt_id) == attempt.attempt_id)
        .map(|input| (input.task.clone(), input.output.clone()))
        .collect();
    let place = || attempt.task.strip_suffix(']')?.rsplit_once('[')?.1.parse().ok();
    let item = planned
        .for_each
        .as_ref()
        .zip(attempt.item.as_ref())
        .and_then(|(each, value)| Some(Item { name: &each.name, place: place()?, value }));
    let timezone = known.plan(run).map_or(chrono_tz::UTC, |plan| plan.timezone);
    let scope = Scope {
        dag: &run.dag,
        task: &attempt.task,
        run_id: run.run_id,
        logical_time: run.logical_time,
        interval: DataInterval { start: run.interval.0, end: run.interval.1 },
        timezone,
        params: &run.params,
        trigger: &cause::of(&run.trigger, run.cause.as_ref()),
        outputs: &outputs,
        item,
    };
    template::render(&planned.config, &scope).unwrap_or_else(|_| planned.config.clone())
}

/// `schema.table`, where it is one of ours.
fn table_of(named: &Named<'_>) -> String {
    match &named.touched.dataset {
        Dataset::Table(table) => table.clone(),
        _ => String::new(),
    }
}

/// The event type of a state of runs, attempts or tasks.
fn kind_of(state: &str) -> &'static str {
    match state {
        "success" => "COMPLETE",
        "failed" | "timed_out" | "lost" => "FAIL",
        _ => "ABORT",
    }
}

fn envelope(
    kind: &str,
    at: DateTime<Utc>,
    run: Uuid,
    facets: Value,
    job: &Value,
    inputs: &[Value],
    outputs: &[Value],
) -> Value {
    json!({
        "eventType": kind,
        "eventTime": time(at),
        "producer": PRODUCER,
        "schemaURL": RUN_EVENT,
        "run": { "runId": run, "facets": facets },
        "job": job,
        "inputs": inputs,
        "outputs": outputs,
    })
}

fn run_facets(run: &RunFacts, end: Option<&EndFacts>, more: &[(&str, &str)]) -> Value {
    let (run_id, logical_time) = (run.run_id.to_string(), time(run.logical_time));
    let own =
        [("sluice.run", run_id.as_str()), ("sluice.trigger", &run.trigger), ("sluice.logical_time", &logical_time)];
    let tags: Vec<Value> =
        own.iter().chain(more).map(|(key, value)| json!({ "key": key, "value": value, "source": "SLUICE" })).collect();
    let mut facets = json!({
        "nominalTime": facet(
            "facets/1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet",
            json!({ "nominalStartTime": time(run.interval.0), "nominalEndTime": time(run.interval.1) }),
        ),
        "processing_engine": facet(
            "facets/1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet",
            json!({ "name": "Sluice", "version": env!("CARGO_PKG_VERSION") }),
        ),
        "tags": facet("facets/1-0-0/TagsRunFacet.json#/$defs/TagsRunFacet", json!({ "tags": tags })),
    });
    if let Some(end) = end.filter(|end| end.state != "success") {
        let message = end.error.clone().unwrap_or_else(|| end.state.replace('_', " "));
        facets["errorMessage"] = facet(
            "facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
            json!({ "message": message, "programmingLanguage": "Rust" }),
        );
    }
    facets
}

fn input_of(input: &Named<'_>, known: &Known, table: &str) -> Value {
    let mut facets = json!({});
    if let Some(counts) = counts(&input.touched) {
        let schema = "facets/1-0-0/InputStatisticsInputDatasetFacet.json#/$defs/InputStatisticsInputDatasetFacet";
        facets["inputStatistics"] = facet(schema, counts);
    }
    if let Some(assertions) = assertions(&input.checks) {
        facets["dataQualityAssertions"] = assertions;
    }
    let Name { namespace, name } = &input.name;
    json!({ "namespace": namespace, "name": name, "facets": columns(known, table), "inputFacets": facets })
}

fn output_of(output: &Named<'_>, known: &Known, table: &str) -> Value {
    let mut facets = json!({});
    if let Some(counts) = counts(&output.touched) {
        let schema = "facets/1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet";
        facets["outputStatistics"] = facet(schema, counts);
    }
    let mut of_dataset = columns(known, table);
    if let Some(assertions) = assertions(&output.checks) {
        of_dataset["dataQualityAssertions"] = assertions;
    }
    let Name { namespace, name } = &output.name;
    json!({ "namespace": namespace, "name": name, "facets": of_dataset, "outputFacets": facets })
}

fn counts(touched: &Touched) -> Option<Value> {
    let counts = [("rowCount", touched.rows), ("size", touched.bytes), ("fileCount", touched.files)];
    let counts: Map<String, Value> =
        counts.into_iter().filter_map(|(key, count)| Some((key.to_owned(), count?.into()))).collect();
    (!counts.is_empty()).then_some(Value::Object(counts))
}

fn columns(known: &Known, table: &str) -> Value {
    let fields: Vec<Value> = (1_u32..)
        .zip(known.columns.iter().filter(|column| column.relation == table))
        .map(|(place, column)| json!({ "name": column.name, "type": column.kind, "ordinal_position": place }))
        .collect();
    if fields.is_empty() {
        return json!({});
    }
    json!({ "schema": facet("facets/1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet", json!({ "fields": fields })) })
}

/// What checks found, without the values that they show: these may be personal.
fn assertions(checks: &[&CheckFacts]) -> Option<Value> {
    let assertions: Vec<Value> = checks
        .iter()
        .map(|check| {
            let mut assertion = json!({
                "assertion": check.check_id,
                "name": format!("{}.{}", check.suite, check.check_id),
                "success": check.outcome == "passed" || check.outcome == "vacuous",
                "severity": if check.on_fail == "warn" { "warn" } else { "error" },
            });
            if let Some(count) = check.observed["unexpected_count"].as_u64() {
                assertion["actual"] = json!(format!("{count} unexpected"));
            }
            assertion
        })
        .collect();
    let schema = "facets/1-1-0/DataQualityAssertionsDatasetFacet.json#/$defs/DataQualityAssertionsDatasetFacet";
    (!assertions.is_empty()).then(|| facet(schema, json!({ "assertions": assertions })))
}

/// A facet of a schema below `https://openlineage.io/spec/`.
fn facet(schema: &str, mut content: Value) -> Value {
    content["_producer"] = PRODUCER.into();
    content["_schemaURL"] = format!("https://openlineage.io/spec/{schema}").into();
    content
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
