//! The bad rows of a row check, and samples of them.

use serde_json::Value;
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    Engine, QualityError,
    answer::{attempt, read, texts},
    backend::{Statement, quote},
};
use crate::{
    expression::Expression,
    probe::{RowProbe, SAMPLES, Unexpected, sample},
    suite::Check,
    types::{Backend, Type, lower},
};

/// Where the bad rows of a row check are found: a relation with the columns of the table, and a condition.
pub(super) struct Marked {
    pub(super) from: String,
    pub(super) bad: String,
}

/// The column that such a relation has beside the table's.
const MARK: &str = "\"sluice.mark\"";

/// What the table is called beside another.
pub(super) const OWN: &str = "own";

impl Engine<'_> {
    pub(super) async fn samples(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        rows: &RowProbe,
    ) -> Result<Result<Vec<Value>, String>, QualityError> {
        let mut statement = self.statement();
        let sql = self.sample_query(check, rows, &mut statement);
        self.sampled(connection, rows, sql, statement).await
    }

    /// The samples that a query gives, if it could be written.
    pub(super) async fn sampled(
        &self,
        connection: &mut PgConnection,
        rows: &RowProbe,
        sql: Result<String, String>,
        statement: Statement,
    ) -> Result<Result<Vec<Value>, String>, QualityError> {
        let sql = match sql {
            Ok(sql) => sql,
            Err(error) => return Ok(Err(error)),
        };
        let found = attempt(connection, sql, statement).await?;
        Ok(found.map(|found| found.iter().map(|row| self.shown(rows, row)).collect()))
    }

    /// A sample from its row.
    pub(super) fn shown(&self, rows: &RowProbe, row: &PgRow) -> Value {
        let values = texts(row);
        sample(&rows.columns, |name| {
            let place = rows.columns.iter().position(|column| column == name).unwrap_or_default();
            let kind = self.schema.get(name).unwrap_or(Type::Other);
            let text = values.get(place).cloned().flatten();
            text.map_or(Value::Null, |text| read(&text, kind).map_or(Value::String(text), |value| value.to_json()))
        })
    }

    /// What is read of a row to show it.
    pub(super) fn shows(rows: &RowProbe) -> String {
        let shown: Vec<_> = rows.columns.iter().map(|name| format!("to_jsonb({}) #>> '{{}}'", quote(name))).collect();
        if shown.is_empty() { "null::text".to_owned() } else { shown.join(", ") }
    }

    /// The column that orders the rows of a check of order.
    pub(super) fn order(order_by: Option<&str>) -> Result<String, String> {
        order_by.map(quote).ok_or_else(|| {
            "the rows of a table have no order of their own: name the column that orders them with `order_by`"
                .to_owned()
        })
    }

    /// How a value compares with the one before where it is out of order.
    pub(super) fn out_of_order(descending: bool, strictly: bool) -> &'static str {
        match (descending, strictly) {
            (false, false) => "<",
            (false, true) => "<=",
            (true, false) => ">",
            (true, true) => ">=",
        }
    }

    fn sample_query(&self, check: &Check, rows: &RowProbe, statement: &mut Statement) -> Result<String, String> {
        let shown = Self::shows(rows);
        let Marked { from, bad } = self.marked(check, rows, statement)?;
        Ok(format!("select {shown} from {from} where {bad} limit {SAMPLES}"))
    }

    /// The bad rows of a row check.
    pub(super) fn marked(&self, check: &Check, rows: &RowProbe, statement: &mut Statement) -> Result<Marked, String> {
        let from = self.from();
        let considered = self.considered(check, rows, statement)?;
        let marking = |mark: String| format!("(select *, {mark} as {MARK} from {from} where {considered}) as marked");
        Ok(match &rows.unexpected {
            Unexpected::Where(bad) => {
                let bad = self.condition(bad, statement)?;
                Marked { bad: format!("({considered} and {bad})"), from }
            }
            Unexpected::Duplicates(columns) => {
                let keys = Self::keys(columns);
                Marked { from: marking(format!("count(*) over (partition by {keys})")), bad: format!("{MARK} > 1") }
            }
            Unexpected::Absent(reference) => {
                let absent = self.absent(reference, OWN, statement)?;
                Marked { from: format!("{from} as {OWN}"), bad: format!("{considered} and {absent}") }
            }
            Unexpected::Outliers { column, threshold, double_sided } => {
                let (value, kind) = lower(&Expression::column(column), &self.schema, statement)?;
                let value = statement.cast(value, kind, Type::Float);
                let of_all = |how: &str| format!("(select {how}({value}) from {from} where {considered})");
                let (mean, deviation) = (of_all("avg"), of_all("stddev_samp"));
                let distance = format!("({value} - {mean}) / {deviation}");
                let distance = if *double_sided { format!("abs({distance})") } else { distance };
                // Written so that nothing is divided by zero.
                let far = format!("case when {deviation} > 0 then not ({distance} < {threshold:?}) else false end");
                Marked { bad: format!("({considered} and {far})"), from }
            }
            Unexpected::Disordered { column, descending, strictly, order_by } => {
                let order = Self::order(order_by.as_deref())?;
                let (value, kind) = lower(&Expression::column(column), &self.schema, statement)?;
                let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
                let mark = format!("lag({value}) over (order by {order} nulls last)");
                let wrong = Self::out_of_order(*descending, *strictly);
                Marked { from: marking(mark), bad: format!("{value}{collation} {wrong} {MARK}{collation}") }
            }
        })
    }
}
