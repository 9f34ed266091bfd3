//! The cases that end otherwise on purpose.

use super::fixtures::Target;

use Target::{Frames, Tables};

/// Why this case may end otherwise, if it may.
pub(super) fn reason(target: Target, expectation: &str, title: &str) -> Option<&'static str> {
    let found = EXCEPTIONS.iter().find(|(of, name, known, _)| *of == target && *name == expectation && *known == title);
    found.map(|(.., reason)| *reason)
}

const EXCEPTIONS: &[(Target, &str, &str, &str)] = &[
    (Frames, "expect_column_max_to_be_between", EMPTY_CASE, EMPTY),
    (Tables, "expect_column_max_to_be_between", EMPTY_CASE, EMPTY),
    (Frames, "expect_column_mean_to_be_between", EMPTY_CASE, EMPTY),
    (Tables, "expect_column_mean_to_be_between", EMPTY_CASE, EMPTY),
    (Frames, "expect_column_median_to_be_between", EMPTY_CASE, EMPTY),
    (Tables, "expect_column_median_to_be_between", EMPTY_CASE, EMPTY),
    (Frames, "expect_column_values_to_be_in_set", "test_conditional_expectation_passes", MIXED),
    (Frames, "expect_column_values_to_be_in_type_list", "negative_test_string_and_int_values_summary_output", TYPED),
    (Frames, "expect_column_values_to_be_in_type_list", "negative_test_string_and_int_values_complete_output", TYPED),
    (Tables, "expect_column_values_to_be_between", "error_on_string-to-int_comparisons", DECLARED),
    (Tables, "expect_column_values_to_match_strftime_format", "negative_test_input_already_datetimes", TEXT),
];

const EMPTY_CASE: &str = "test_empty_column_should_be_false_no_observed_value_with_which_to_compare";

const EMPTY: &str = "an empty column is vacuous: nothing was there that could have been wrong, or right";
const MIXED: &str = "a row condition that compares numbers with text is a slip, and errored; pandas finds no such row";
const TYPED: &str = "a typed column has one type, so the column fails and none of its values is told apart";
const DECLARED: &str = "for Postgres the file declares the column of digits as INTEGER: nothing is left to be mixed up";
const TEXT: &str = "only for Spark does the file say that the column holds times; here its texts are in the format";
