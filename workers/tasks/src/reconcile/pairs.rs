//! Columns side by side, and the text by which both servers print a value alike.

use std::collections::BTreeMap;

use warehouse::{copy::PgType, ident};
use workflow::{diagnostic::did_you_mean, error::TaskError};

use crate::extract_mysql::{
    ZeroDates,
    columns::{SourceColumn, SourceType, quote},
};

/// A column that is compared.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) name: String,
    /// The value as text in `MySQL`, null where it is null.
    pub(super) source: String,
    /// The same in Postgres.
    pub(super) target: String,
    /// Whether the text may hold anything.
    free: bool,
}

/// The pairs of the columns that are to be compared, or every one that cannot be.
pub(super) fn pairs(
    columns: &[SourceColumn],
    target: &BTreeMap<String, String>,
    except: &[String],
    zero_dates: ZeroDates,
) -> Result<Vec<Pair>, TaskError> {
    let (mut pairs, mut problems) = (Vec::new(), Vec::new());
    for name in except {
        if !columns.iter().any(|column| column.name == *name) {
            let hint = did_you_mean(name, columns.iter().map(|column| column.name.as_str()));
            problems.push(format!("`except` names `{name}`, which is not a column of the source ({hint})"));
        }
    }
    for column in columns.iter().filter(|column| !except.contains(&column.name)) {
        let name = &column.name;
        let Some(type_name) = target.get(name) else {
            problems.push(format!("column `{name}` is not in the target; leave it out with `except`"));
            continue;
        };
        let pg = PgType::parse(type_name);
        match pg.and_then(|pg| texts(column, pg, zero_dates)) {
            Some((source, target, free)) => {
                pairs.push(Pair { name: name.clone(), source, target, free });
            }
            None if pg == Some(PgType::Jsonb) => problems.push(format!(
                "column `{name}` is text in the source, and jsonb rewrites it; leave it out with `except`, or make the \
                 target's column `json`"
            )),
            None => problems.push(format!(
                "column `{name}` is {:?} in the source and {type_name} in the target, which are not compared; leave it out \
                 with `except`",
                column.kind
            )),
        }
    }
    if problems.is_empty() { Ok(pairs) } else { Err(TaskError::user(problems.join("; "))) }
}

/// The whole row as text, in `MySQL` and in Postgres. Two rows have the same text only where they are alike: text of any
/// content goes with its length, and nothing else holds a `|` or a `~`.
pub(super) fn row_texts(pairs: &[Pair]) -> (String, String) {
    let parts = |mysql: bool| -> Vec<String> {
        pairs
            .iter()
            .map(|pair| match (mysql, pair.free) {
                (true, false) => format!("ifnull({}, '~')", pair.source),
                (true, true) => format!("ifnull(concat(length({0}), ':', {0}), '~')", pair.source),
                (false, false) => format!("coalesce({}, '~')", pair.target),
                (false, true) => format!("coalesce(octet_length({0}) || ':' || {0}, '~')", pair.target),
            })
            .collect()
    };
    // A batch of keys alone has no text but a constant one.
    let joined = |parts: Vec<String>| match parts.as_slice() {
        [] => "''".to_owned(),
        [one] => one.clone(),
        _ => format!("concat_ws('|', {})", parts.join(", ")),
    };
    (joined(parts(true)), joined(parts(false)))
}

/// A value as text in either server, and whether that text may hold anything. None where no text is the same in both.
fn texts(column: &SourceColumn, pg: PgType, zero_dates: ZeroDates) -> Option<(String, String, bool)> {
    let mine = quote(&column.name);
    let theirs = ident::quote(&column.name).ok()?;
    let plain = format!("{theirs}::text");
    let strict = |source: String, target: String| Some((source, target, false));
    // `+ 0` takes the zeros off that `zerofill` prints.
    let number = format!("cast({mine} + 0 as char)");
    match (column.kind, pg) {
        (
            SourceType::Int8
            | SourceType::Int16
            | SourceType::Int32
            | SourceType::Int64
            | SourceType::UInt8
            | SourceType::UInt16
            | SourceType::UInt32
            | SourceType::UInt64
            | SourceType::Bits
            | SourceType::Year,
            PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Numeric(Some((_, 0))),
        ) => strict(number, plain),
        (SourceType::Truth, PgType::Bool) => strict(number, format!("{theirs}::int::text")),
        (SourceType::Decimal(..) | SourceType::WideDecimal(..), PgType::Numeric(limits)) => {
            decimals(column.kind, &mine, &theirs, limits)
        }
        (SourceType::Float32 | SourceType::Float64, PgType::Float4 | PgType::Float8) => {
            let source = match column.kind {
                SourceType::Float32 => format!("cast(cast({mine} as double) as char)"),
                _ => format!("cast({mine} as char)"),
            };
            strict(source, float(&format!("{theirs}::float8")))
        }
        (SourceType::Text, PgType::Text(_)) | (SourceType::Text | SourceType::Json, PgType::Json) => {
            Some((format!("convert({mine} using utf8mb4)"), plain, true))
        }
        (SourceType::Json, PgType::Text(_)) => Some((format!("convert({mine} using utf8mb4)"), plain, true)),
        (SourceType::Uuid, PgType::Uuid | PgType::Text(_)) => strict(format!("cast({mine} as char)"), plain),
        (SourceType::Bytes, PgType::Bytea) => strict(format!("md5({mine})"), format!("md5({theirs})")),
        (SourceType::Date, PgType::Date) => strict(dated(&mine, format!("cast({mine} as char)"), zero_dates), plain),
        (SourceType::Datetime, PgType::Timestamp) => strict(dated(&mine, moment(&mine, "datetime"), zero_dates), plain),
        (SourceType::Timestamp, PgType::Timestamptz) => {
            strict(dated(&mine, moment(&mine, "datetime"), zero_dates), format!("({theirs} at time zone 'UTC')::text"))
        }
        (SourceType::DateText(time), PgType::Text(_)) => {
            let whole = if time { "datetime(6)" } else { "date" };
            strict(format!("cast(cast({mine} as {whole}) as char)"), plain)
        }
        (SourceType::Time, PgType::Interval) => strict(moment(&mine, "time"), plain),
        _ => None,
    }
}

/// Without the zeros behind the point, and without the point where nothing is left: as Postgres prints times.
fn trimmed(text: &str) -> String {
    format!("trim(trailing '.' from trim(trailing '0' from {text}))")
}

fn moment(mine: &str, kind: &str) -> String {
    trimmed(&format!("cast(cast({mine} as {kind}(6)) as char)"))
}

/// Null for what is no date, where the extract makes nulls of such values.
fn dated(mine: &str, text: String, zero_dates: ZeroDates) -> String {
    match zero_dates {
        ZeroDates::Null => format!("if(from_days(to_days({mine})) <=> date({mine}), {text}, null)"),
        ZeroDates::Reject | ZeroDates::Text => text,
    }
}

fn decimals(kind: SourceType, mine: &str, theirs: &str, limits: Option<(u32, u32)>) -> Option<(String, String, bool)> {
    let (SourceType::Decimal(precision, scale) | SourceType::WideDecimal(precision, scale)) = kind else { return None };
    // A sum has a digit more than its parts, and there are 65.
    let source = if precision < 65 { format!("cast({mine} + 0 as char)") } else { format!("cast({mine} as char)") };
    let alike = limits.is_some_and(|(_, theirs)| usize::try_from(theirs) == Ok(scale));
    Some(match (alike, scale) {
        (true, _) => (source, format!("{theirs}::text"), false),
        (false, 0) => (source, format!("trim_scale({theirs})::text"), false),
        (false, _) => (trimmed(&source), format!("trim_scale({theirs})::text"), false),
    })
}

/// A double as `MySQL` prints it: both print the shortest digits that give it back, and differ in when they write an
/// exponent, and how.
fn float(value: &str) -> String {
    format!(
        "case when abs({value}) >= 1e-15 and abs({value}) < 1e-4 \
         or abs({value}) >= 1e15 and abs({value}) < 1e16 \
         and length(translate(split_part({value}::text, 'e', 1), '-.', '')) > 16 \
         then {value}::text::numeric::text else replace({value}::text, 'e+', 'e') end"
    )
}
