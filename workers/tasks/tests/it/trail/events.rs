//! What the schemas of `OpenLineage` 2-0-2 ask of an event, as far as we use them.

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

/// Facets that we send: where they stand, their name, their schema's file, and what they must have.
const FACETS: [(&str, &str, &str, &[&str]); 12] = [
    ("run", "nominalTime", "facets/1-0-1/NominalTimeRunFacet.json", &["nominalStartTime"]),
    ("run", "parent", "facets/1-2-0/ParentRunFacet.json", &["run", "job"]),
    ("run", "errorMessage", "facets/1-0-1/ErrorMessageRunFacet.json", &["message", "programmingLanguage"]),
    ("run", "processing_engine", "facets/1-1-1/ProcessingEngineRunFacet.json", &["version"]),
    ("run", "tags", "facets/1-0-0/TagsRunFacet.json", &["tags"]),
    ("job", "jobType", "facets/2-0-4/JobTypeJobFacet.json", &["processingType", "integration"]),
    ("job", "tags", "facets/1-0-0/TagsJobFacet.json", &["tags"]),
    ("job", "documentation", "facets/1-1-0/DocumentationJobFacet.json", &["description"]),
    ("job", "sql", "facets/1-1-0/SQLJobFacet.json", &["query"]),
    ("dataset", "schema", "facets/1-2-0/SchemaDatasetFacet.json", &["fields"]),
    ("input", "inputStatistics", "facets/1-0-0/InputStatisticsInputDatasetFacet.json", &[]),
    ("output", "outputStatistics", "facets/1-0-2/OutputStatisticsOutputDatasetFacet.json", &[]),
];
/// Stands at inputs, and at the outputs that were judged as they were made.
const ASSERTIONS: (&str, &str) = ("dataQualityAssertions", "facets/1-1-0/DataQualityAssertionsDatasetFacet.json");

/// Panics where an event is not what the schemas ask for.
pub(super) fn check(event: &Value) {
    time(&event["eventTime"]);
    uri(&event["producer"]);
    assert_eq!(event["schemaURL"], "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent");
    let kind = text(&event["eventType"]);
    assert!(["START", "COMPLETE", "ABORT", "FAIL"].contains(&kind), "{kind}");
    id(&event["run"]["runId"]);
    job(&event["job"]);
    facets("run", &event["run"]["facets"]);
    facets("job", &event["job"]["facets"]);
    for (side, of_side) in [("inputs", "input"), ("outputs", "output")] {
        for dataset in event[side].as_array().expect(side) {
            job(dataset);
            facets("dataset", &dataset["facets"]);
            facets(of_side, &dataset[format!("{of_side}Facets")]);
        }
    }
}

fn facets(place: &str, facets: &Value) {
    for (name, facet) in facets.as_object().expect("facets") {
        uri(&facet["_producer"]);
        let schema =
            text(&facet["_schemaURL"]).strip_prefix("https://openlineage.io/spec/").expect("a published schema");
        let file = schema.split("#/$defs/").next().expect("a file");
        if name == ASSERTIONS.0 && (place == "input" || place == "dataset") {
            assert_eq!(file, ASSERTIONS.1);
            for assertion in facet["assertions"].as_array().expect("assertions") {
                text(&assertion["assertion"]);
                assert!(assertion["success"].is_boolean(), "{assertion}");
            }
            continue;
        }
        let known = FACETS.iter().find(|known| known.0 == place && known.1 == name);
        let (.., known_file, required) = known.unwrap_or_else(|| panic!("no facet of a {place} is called {name}"));
        assert_eq!(file, *known_file);
        for key in *required {
            assert!(!facet[key].is_null(), "{name} has no {key}");
        }
        match name.as_str() {
            "nominalTime" => ["nominalStartTime", "nominalEndTime"].iter().for_each(|key| time(&facet[key])),
            "parent" => {
                for of in [facet, &facet["root"]] {
                    id(&of["run"]["runId"]);
                    job(&of["job"]);
                }
            }
            "errorMessage" => drop((text(&facet["message"]), text(&facet["programmingLanguage"]))),
            "tags" => {
                for tag in facet["tags"].as_array().expect("tags") {
                    text(&tag["key"]);
                    text(&tag["value"]);
                }
            }
            "schema" => {
                for field in facet["fields"].as_array().expect("fields") {
                    text(&field["name"]);
                    assert!(field["ordinal_position"].is_u64(), "{field}");
                }
            }
            "inputStatistics" | "outputStatistics" => {
                for key in ["rowCount", "size", "fileCount"] {
                    assert!(facet[key].is_null() || facet[key].is_u64(), "{facet}");
                }
            }
            _ => {}
        }
    }
}

fn job(of: &Value) {
    text(&of["namespace"]);
    text(&of["name"]);
}

fn text(value: &Value) -> &str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("no text: {value}"))
}

fn uri(value: &Value) {
    assert!(text(value).starts_with("https://"), "{value}");
}

fn id(value: &Value) {
    text(value).parse::<Uuid>().unwrap_or_else(|error| panic!("{value}: {error}"));
}

fn time(value: &Value) {
    DateTime::parse_from_rfc3339(text(value)).unwrap_or_else(|error| panic!("{value}: {error}"));
}
