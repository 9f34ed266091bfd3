//! The streams that come with the project are valid; each bad file gets the report that it carries.

use std::{fs, path::Path};

use super::Stream;

const CHANNELS: &[&str] = &["fraud_slack", "ops_mail"];

#[test]
fn the_shipped_streams_compile() {
    let fraud = Stream::parse("fraud.yaml", include_str!("../../../../dags/streams/fraud.yaml"), CHANNELS);
    let rules: Vec<_> = fraud.expect("valid").rules().map(str::to_owned).collect();
    assert_eq!(rules, ["card_velocity", "high_amount_burst"]);
    let clicks = Stream::parse("clicks.yaml", include_str!("../../../../dags/streams/clicks.yaml"), CHANNELS);
    assert_eq!(clicks.expect("valid").dead_topic(), "shop.clicks.dead");
}

/// The report stands at the head of the file, line by line after `# expect: `.
#[test]
fn each_bad_stream_gets_its_report() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let (mut seen, mut wrong) = (0, String::new());
    for entry in fs::read_dir(&folder).expect("the folder of bad streams") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("text");
        let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# expect: ")).collect();
        let found = Stream::parse(&name, &text, CHANNELS).expect_err(&name);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        let (found, expected) = (found.join("\n"), expected.join("\n"));
        if found != expected {
            wrong = format!("{wrong}{name} says:\n{found}\nand should say:\n{expected}\n");
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(seen > 10, "{seen} files in {}", folder.display());
}
