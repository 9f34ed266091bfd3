//! Tests of texts that Postgres does not have ([`TextTest`]): the different texts of a column come here, once, and
//! the wrong ones go back as a set that the statements compare with.

use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::QualityError;
use crate::text::TextTest;

/// So many different wrong texts are kept, and no more.
const KEPT: usize = 1_000_000;

/// Which texts fail which tests.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<Answer>);

#[derive(Debug)]
struct Answer {
    /// The column, as it is written in SQL.
    column: String,
    test: TextTest,
    wrong: Result<Arc<[String]>, String>,
}

impl Answers {
    /// The different texts of `column` that fail `test`.
    pub(super) fn wrong(&self, column: &str, test: &TextTest) -> Result<Arc<[String]>, String> {
        let answer = self.0.iter().find(|answer| answer.column == column && answer.test == *test);
        answer.map_or_else(|| Err(format!("{} was not asked of {column}", test.name())), |answer| answer.wrong.clone())
    }

    /// Looks at the texts of `column` of the table `from`, both as SQL, one by one; a fault of the database is kept as
    /// the answer.
    pub(super) async fn ask(
        &mut self,
        connection: &mut PgConnection,
        from: &str,
        column: &str,
        test: &TextTest,
    ) -> Result<(), QualityError> {
        if self.0.iter().any(|answer| answer.column == column && answer.test == *test) {
            return Ok(());
        }
        let mut savepoint = connection.begin().await?;
        let sql = format!("select distinct {column} collate \"C\" as v from {from} where {column} is not null");
        let wrong = wrong_texts(&mut savepoint, sql, test).await;
        let wrong = match wrong {
            Ok(wrong) => {
                savepoint.commit().await?;
                wrong.map(Arc::from)
            }
            Err(sqlx::Error::Database(error)) => {
                savepoint.rollback().await?;
                Err(error.message().to_owned())
            }
            Err(error) => return Err(error.into()),
        };
        self.0.push(Answer { column: column.to_owned(), test: test.clone(), wrong });
        Ok(())
    }
}

async fn wrong_texts(
    connection: &mut PgConnection,
    sql: String,
    test: &TextTest,
) -> Result<Result<Vec<String>, String>, sqlx::Error> {
    let mut wrong = Vec::new();
    let mut rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let text: String = row.try_get(0)?;
        if !test.holds(&text) {
            if wrong.len() == KEPT {
                return Ok(Err(format!("more than {KEPT} different texts fail")));
            }
            wrong.push(text);
        }
    }
    Ok(Ok(wrong))
}
