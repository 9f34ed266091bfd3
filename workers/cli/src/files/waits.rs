//! DAGs that wait for each other: for a run's success, or for what it publishes.

use std::collections::{BTreeMap, BTreeSet};

use warehouse::models::Catalog;
use workflow::{
    diagnostic::{Diagnostic, Problem, did_you_mean},
    plan::Plan,
    trigger::{Trigger, circle},
    yaml::Document,
};

/// All DAGs of a project, with their files.
pub(super) struct Waits<'a> {
    pub(super) plans: &'a BTreeMap<String, Plan>,
    pub(super) documents: &'a BTreeMap<String, Document>,
}

/// Who waits for whom, with the place among its triggers.
type Edges<'a> = BTreeMap<&'a str, Vec<(usize, &'a str)>>;

impl<'a> Waits<'a> {
    /// What cannot be: a DAG that is not there, or a circle, in which none would ever be the first.
    pub(super) fn faults(&self) -> Vec<Diagnostic> {
        let edges = self.successes();
        let mut faults = Vec::new();
        for (dag, waits) in &edges {
            for (place, missing) in waits.iter().filter(|(_, other)| !self.plans.contains_key(*other)) {
                let hint = did_you_mean(missing, self.plans.keys().map(String::as_str).filter(|name| name != dag));
                let problem = Problem::new("dag", format!("no DAG `{missing}` in dags/")).hint(hint);
                faults.extend(self.at(dag, *place, problem));
            }
        }
        if let Some((dag, place, path)) = round(&edges) {
            let problem = Problem::new("dag", format!("the DAGs wait for each other: {path}"));
            faults.extend(self.at(dag, place, problem.hint("remove one of these triggers")));
        }
        faults
    }

    /// What is allowed and yet seldom meant: a dataset that nobody publishes, DAGs that start each other for ever.
    pub(super) fn warnings(&self, models: &Catalog) -> Vec<Diagnostic> {
        let published: BTreeMap<&str, Option<BTreeSet<String>>> =
            self.plans.values().map(|plan| (plan.dag.as_str(), tasks::written::datasets(plan, models))).collect();
        let publishers = |dataset: &str| {
            let publishes = |of: &Option<BTreeSet<String>>| of.as_ref().is_some_and(|of| of.contains(dataset));
            published.iter().filter(move |(_, of)| publishes(of)).map(|(dag, _)| *dag).collect::<Vec<_>>()
        };
        // Where a template decides what a DAG publishes, it may be anything.
        let all_known = published.values().all(Option::is_some);
        let mut found = Vec::new();
        let mut edges = self.successes();
        for plan in self.plans.values() {
            for (place, trigger) in plan.triggers.iter().enumerate() {
                let Trigger::Datasets { of, .. } = trigger else { continue };
                for (index, dataset) in of.iter().enumerate() {
                    let by = publishers(dataset);
                    if by.is_empty() && all_known {
                        let known = published.values().flatten().flatten().map(String::as_str);
                        let message = format!("no DAG publishes `{dataset}`, so this waits for ever");
                        let problem = Problem::new(format!("datasets[{index}]"), message);
                        found.extend(self.at(&plan.dag, place, problem.hint(did_you_mean(dataset, known))));
                    }
                    let others = by.into_iter().filter(|dag| *dag != plan.dag).map(|dag| (place, dag));
                    edges.entry(&plan.dag).or_default().extend(others);
                }
            }
        }
        if let Some((dag, place, path)) = round(&edges) {
            let problem = Problem::new("", format!("the DAGs start each other for ever: {path}"));
            found.extend(self.at(dag, place, problem.hint("remove one of these triggers")));
        }
        found
    }

    fn successes(&self) -> Edges<'a> {
        let waits = |plan: &'a Plan| {
            let places = plan.triggers.iter().enumerate().filter_map(|(place, trigger)| match trigger {
                Trigger::Dag(dag) => Some((place, dag.as_str())),
                _ => None,
            });
            places.collect()
        };
        self.plans.values().map(|plan| (plan.dag.as_str(), waits(plan))).collect()
    }

    fn at(&self, dag: &str, place: usize, problem: Problem) -> Option<Diagnostic> {
        Some(self.documents.get(dag)?.place(&format!("triggers[{place}]"), problem))
    }
}

/// A circle: a DAG of it, which of its triggers waits for the next one, and the whole of it in words.
fn round<'a>(edges: &Edges<'a>) -> Option<(&'a str, usize, String)> {
    let graph: Vec<(&str, Vec<&str>)> =
        edges.iter().map(|(dag, waits)| (*dag, waits.iter().map(|(_, other)| *other).collect())).collect();
    let found = circle(&graph)?;
    let (place, _) = edges.get(found[0])?.iter().find(|(_, other)| *other == found[1])?;
    Some((found[0], *place, found.join(" → ")))
}
