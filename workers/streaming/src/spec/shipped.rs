//! The streams that come with the project are valid.

use super::Stream;

#[test]
fn the_shipped_streams_compile() {
    let channels = ["fraud_slack", "ops_mail"];
    let fraud = Stream::parse("fraud.yaml", include_str!("../../../../dags/streams/fraud.yaml"), channels);
    let rules: Vec<_> = fraud.expect("valid").rules().map(str::to_owned).collect();
    assert_eq!(rules, ["card_velocity", "high_amount_burst"]);
    let clicks = Stream::parse("clicks.yaml", include_str!("../../../../dags/streams/clicks.yaml"), channels);
    assert_eq!(clicks.expect("valid").dead_topic(), "shop.clicks.dead");
}
