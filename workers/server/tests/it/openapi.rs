//! The OpenAPI document that the repository keeps is the one that the handlers generate.

use serde_json::Value;

/// `SLUICE_WRITE_GENERATED=1 cargo test -p server openapi` writes it anew.
#[test]
fn the_kept_document_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let fresh = server::openapi();
    if std::env::var_os("SLUICE_WRITE_GENERATED").is_some() {
        std::fs::write(path, &fresh).expect("write openapi.json");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == fresh, "openapi.json is stale; SLUICE_WRITE_GENERATED=1 cargo test -p server openapi writes it");
}

#[test]
fn every_operation_says_what_it_does_and_what_it_answers() {
    let document: Value = serde_json::from_str(&server::openapi()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let mut operations = 0;
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            operations += 1;
            assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 10), "{method} {path}");
            let answers = operation["responses"].as_object().expect("responses");
            assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}");
        }
    }
    assert!(operations >= 17, "{operations} operations");
}
