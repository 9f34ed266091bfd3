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
    /// What `MySQL` prints as the value's text, null where it is null.
    source: String,
    /// The same text in Postgres.
    pub(super) target: String,
    /// Whether the text may hold anything.
    free: bool,
    /// Whether the source may have none.
    nullable: bool,
}

impl Pair {
    /// The value's text in `MySQL`.
    pub(super) fn source(&self) -> String {
        format!("cast({} as char)", self.source)
    }
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
                let nullable = column.nullable || zero_dates == ZeroDates::Null;
                pairs.push(Pair { name: name.clone(), source, target, free, nullable });
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
                // `concat_ws` makes text of it by itself, and each function of a row costs a second over ten million.
                (true, false) if !pair.nullable => pair.source.clone(),
                (true, false) => format!("ifnull({}, '~')", pair.source),
                (true, true) if !pair.nullable => format!("length({0}), {0}", pair.source),
                (true, true) => format!("ifnull(concat(length({0}), '|', {0}), '~')", pair.source),
                (false, false) => format!("coalesce({}, '~')", pair.target),
                (false, true) => format!("coalesce(octet_length({0}) || '|' || {0}, '~')", pair.target),
            })
            .collect()
    };
    // A batch of keys alone has no text but a constant one.
    let joined = |parts: Vec<String>| match parts.as_slice() {
        [] => "''".to_owned(),
        _ => format!("concat_ws('|', {})", parts.join(", ")),
    };
    (joined(parts(true)), joined(parts(false)))
}

/// A value as either server prints it, and whether that text may hold anything. None where no text is the same in both.
fn texts(column: &SourceColumn, pg: PgType, zero_dates: ZeroDates) -> Option<(String, String, bool)> {
    let mine = quote(&column.name);
    let theirs = ident::quote(&column.name).ok()?;
    let plain = format!("{theirs}::text");
    let strict = |source: String, target: String| Some((source, target, false));
    let number = format!("{mine} + 0");
    let bare = || if column.print.zerofill { number.clone() } else { mine.clone() };
    match (column.kind, pg) {
        (kind, pg) if kind.is_whole() && pg.is_whole() => strict(bare(), plain),
        (SourceType::Bits | SourceType::Year, pg) if pg.is_whole() => strict(number, plain),
        (SourceType::Truth, PgType::Bool) => strict(number, format!("{theirs}::int::text")),
        (SourceType::Decimal(_, scale) | SourceType::WideDecimal(_, scale), PgType::Numeric(limits)) => {
            let alike = limits.is_some_and(|(_, theirs)| usize::try_from(theirs) == Ok(scale));
            match (alike, scale) {
                (true, _) => strict(bare(), plain),
                (false, 0) => strict(bare(), format!("trim_scale({theirs})::text")),
                (false, _) => strict(trimmed(&bare()), format!("trim_scale({theirs})::text")),
            }
        }
        (SourceType::Float32 | SourceType::Float64, PgType::Float4 | PgType::Float8) => {
            strict(format!("cast({mine} as double)"), float(&format!("{theirs}::float8")))
        }
        (SourceType::Text | SourceType::Json, PgType::Text(_) | PgType::Json) => {
            let text = if column.print.utf8mb4 { mine } else { format!("convert({mine} using utf8mb4)") };
            Some((text, plain, true))
        }
        (SourceType::Uuid, PgType::Uuid | PgType::Text(_)) => strict(format!("cast({mine} as char)"), plain),
        (SourceType::Bytes, PgType::Bytea) => strict(format!("md5({mine})"), format!("md5({theirs})")),
        (SourceType::Date, PgType::Date) => strict(dated(&mine, mine.clone(), zero_dates), plain),
        (SourceType::Datetime, PgType::Timestamp) => {
            let (source, target) = moment(column, &mine, &theirs);
            strict(dated(&mine, source, zero_dates), target)
        }
        (SourceType::Timestamp, PgType::Timestamptz) => {
            let (source, target) = moment(column, &mine, &format!("({theirs} at time zone 'UTC')"));
            strict(dated(&mine, source, zero_dates), target)
        }
        (SourceType::DateText(false), PgType::Text(_)) => strict(mine, plain),
        (SourceType::DateText(true), PgType::Text(_)) => strict(format!("cast({mine} as datetime(6))"), plain),
        (SourceType::Time, PgType::Interval) if column.print.fraction == 0 => strict(mine, plain),
        (SourceType::Time, PgType::Interval) => strict(trimmed(&mine), plain),
        _ => None,
    }
}

/// Without the zeros behind the point, and without the point where nothing is left.
fn trimmed(text: &str) -> String {
    format!("trim(trailing '.' from trim(trailing '0' from {text}))")
}

/// A moment without zeros behind its second, as Postgres prints it: `to_char` would take as long as all else of a row.
fn moment(column: &SourceColumn, mine: &str, theirs: &str) -> (String, String) {
    let source = if column.print.fraction == 0 { mine.to_owned() } else { trimmed(mine) };
    (source, format!("{theirs}::text"))
}

/// Null for what is no date, where the extract makes nulls of such values.
fn dated(mine: &str, text: String, zero_dates: ZeroDates) -> String {
    match zero_dates {
        ZeroDates::Null => format!("if(from_days(to_days({mine})) <=> date({mine}), {text}, null)"),
        ZeroDates::Reject | ZeroDates::Text => text,
    }
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
