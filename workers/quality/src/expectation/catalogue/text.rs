//! Expectations about what each text of one column looks like.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use workflow::diagnostic::Problem;

use super::{
    super::Expectation,
    Entry,
    arguments::{COLUMN, Column, read},
};
use crate::text::{JsonSchema, TextTest, TimeFormat};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "expect_column_values_to_match_regex",
        short: "regex",
        keys: &["column", "regex"],
        read: |args| read(args, |Regex { column, regex }| matches(column, "regex", vec![regex], false, true, false)),
    },
    Entry {
        name: "expect_column_values_to_not_match_regex",
        short: "not_regex",
        keys: &["column", "regex"],
        read: |args| read(args, |Regex { column, regex }| matches(column, "regex", vec![regex], false, true, true)),
    },
    Entry {
        name: "expect_column_values_to_match_regex_list",
        short: "regex_list",
        keys: &["column", "regex_list", "match_on"],
        read: |args| {
            read(args, |RegexList { column, regex_list, match_on }| {
                matches(column, "regex_list", regex_list, false, match_on == MatchOn::Any, false)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_not_match_regex_list",
        short: "not_regex_list",
        keys: &["column", "regex_list"],
        read: |args| {
            read(args, |RegexList { column, regex_list, .. }| {
                matches(column, "regex_list", regex_list, false, true, true)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_match_like_pattern",
        short: "like",
        keys: &["column", "like_pattern"],
        read: |args| {
            read(args, |Like { column, like_pattern }| {
                matches(column, "like_pattern", vec![like_pattern], true, true, false)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_not_match_like_pattern",
        short: "not_like",
        keys: &["column", "like_pattern"],
        read: |args| {
            read(args, |Like { column, like_pattern }| {
                matches(column, "like_pattern", vec![like_pattern], true, true, true)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_match_like_pattern_list",
        short: "like_list",
        keys: &["column", "like_pattern_list", "match_on"],
        read: |args| {
            read(args, |LikeList { column, like_pattern_list, match_on }| {
                matches(column, "like_pattern_list", like_pattern_list, true, match_on == MatchOn::Any, false)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_not_match_like_pattern_list",
        short: "not_like_list",
        keys: &["column", "like_pattern_list"],
        read: |args| {
            read(args, |LikeList { column, like_pattern_list, .. }| {
                matches(column, "like_pattern_list", like_pattern_list, true, true, true)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_be_json_parseable",
        short: "json",
        keys: COLUMN,
        read: |args| read(args, |Column { column }| Ok(Expectation::Text { column, test: TextTest::Json })),
    },
    Entry {
        name: "expect_column_values_to_match_json_schema",
        short: "json_schema",
        keys: &["column", "json_schema"],
        read: |args| {
            read(args, |Schema { column, json_schema }| {
                let schema = JsonSchema::read(&json_schema).map_err(|e| Problem::new("json_schema", e))?;
                Ok(Expectation::Text { column, test: TextTest::JsonSchema(Arc::new(schema)) })
            })
        },
    },
    Entry {
        name: "expect_column_values_to_match_strftime_format",
        short: "strftime",
        keys: &["column", "strftime_format"],
        read: |args| {
            read(args, |Strftime { column, strftime_format }| {
                let format = TimeFormat::read(&strftime_format).map_err(|e| Problem::new("strftime_format", e))?;
                Ok(Expectation::Text { column, test: TextTest::Strftime(format) })
            })
        },
    },
    Entry {
        name: "expect_column_values_to_be_dateutil_parseable",
        short: "date",
        keys: COLUMN,
        read: |args| read(args, |Column { column }| Ok(Expectation::Text { column, test: TextTest::Dateutil })),
    },
];

fn matches(
    column: String,
    field: &str,
    patterns: Vec<String>,
    like: bool,
    any: bool,
    negated: bool,
) -> Result<Expectation, Problem> {
    if patterns.is_empty() {
        return Err(Problem::new(field, "the list is empty"));
    }
    if !like {
        for pattern in &patterns {
            regex::Regex::new(pattern).map_err(|error| {
                Problem::new(field, format!("not a regular expression: {}", crate::expression::last_line(&error)))
            })?;
        }
    }
    Ok(Expectation::Matches { column, patterns, like, any, negated })
}

#[derive(Deserialize)]
struct Regex {
    column: String,
    regex: String,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the argument")]
struct RegexList {
    column: String,
    regex_list: Vec<String>,
    #[serde(default)]
    match_on: MatchOn,
}

#[derive(Deserialize)]
struct Like {
    column: String,
    like_pattern: String,
}

#[derive(Deserialize)]
struct LikeList {
    column: String,
    like_pattern_list: Vec<String>,
    #[serde(default)]
    match_on: MatchOn,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum MatchOn {
    #[default]
    Any,
    All,
}

#[derive(Deserialize)]
struct Schema {
    column: String,
    json_schema: Value,
}

#[derive(Deserialize)]
struct Strftime {
    column: String,
    strftime_format: String,
}
