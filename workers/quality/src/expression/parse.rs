//! From SQL text to an [`Expression`].

use std::str::FromStr;

use sqlparser::{
    ast::{
        BinaryOperator, DataType, Expr as Sql, Function as SqlFunction, FunctionArg, FunctionArgExpr,
        FunctionArguments, UnaryOperator, Value,
    },
    dialect::PostgreSqlDialect,
    parser::Parser,
    tokenizer::Token,
};
use workflow::diagnostic::did_you_mean;

use super::{Arithmetic, Comparison, Expression, Function};
use crate::value::{Scalar, read_date, read_instant, read_time, read_timestamp};

/// Why a text is not an expression of the subset; no final period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpressionError(String);

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let wrong = |error: &dyn std::fmt::Display| ExpressionError(format!("not a SQL expression: {error}"));
        let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(|e| wrong(&e))?;
        let parsed = parser.parse_expr().map_err(|e| wrong(&e))?;
        let rest = parser.peek_token();
        if rest.token != Token::EOF {
            return Err(ExpressionError(format!("expected the end of the expression, found `{}`", rest.token)));
        }
        read(&parsed)
    }
}

type Read<T = Expression> = Result<T, ExpressionError>;

fn refuse<T>(what: impl std::fmt::Display) -> Read<T> {
    Err(ExpressionError(format!("`{what}` is outside of the SQL that conditions may use")))
}

fn boxed(sql: &Sql) -> Read<Box<Expression>> {
    read(sql).map(Box::new)
}

fn negate_if(negated: bool, expression: Expression) -> Expression {
    if negated { expression.negated() } else { expression }
}

fn read(sql: &Sql) -> Read {
    Ok(match sql {
        Sql::Identifier(name) => Expression::Column(name.value.clone()),
        Sql::Nested(inner) => read(inner)?,
        Sql::Value(value) => Expression::Literal(literal(&value.value)?),
        Sql::TypedString(typed) => Expression::Literal(Some(typed_literal(&typed.data_type, &typed.value.value)?)),
        Sql::UnaryOp { op, expr } => match (op, read(expr)?) {
            (UnaryOperator::Not, inner) => inner.negated(),
            (UnaryOperator::Plus, inner) => inner,
            (UnaryOperator::Minus, Expression::Literal(Some(Scalar::Decimal { units, scale }))) => {
                Expression::literal(Scalar::Decimal { units: -units, scale })
            }
            (UnaryOperator::Minus, Expression::Literal(Some(Scalar::Float(value)))) => {
                Expression::literal(Scalar::Float(-value))
            }
            (UnaryOperator::Minus, inner) => Expression::Negate(Box::new(inner)),
            _ => return refuse(sql),
        },
        Sql::BinaryOp { left, op, right } => binary(sql, left, op, right)?,
        Sql::IsNull(inner) => read(inner)?.is_null(),
        Sql::IsNotNull(inner) => read(inner)?.is_not_null(),
        Sql::IsTrue(inner) => Expression::IsTrue(boxed(inner)?),
        Sql::IsNotTrue(inner) => read(inner)?.is_not_true(),
        Sql::IsFalse(inner) => Expression::IsTrue(Box::new(read(inner)?.negated())),
        Sql::IsNotFalse(inner) => read(inner)?.negated().is_not_true(),
        Sql::IsDistinctFrom(a, b) => read(a)?.compare(Comparison::Same, read(b)?).negated(),
        Sql::IsNotDistinctFrom(a, b) => read(a)?.compare(Comparison::Same, read(b)?),
        Sql::Between { expr, negated, low, high } => {
            let value = read(expr)?;
            let from = value.clone().compare(Comparison::GreaterOrEqual, read(low)?);
            let to = value.compare(Comparison::LessOrEqual, read(high)?);
            negate_if(*negated, Expression::And(vec![from, to]))
        }
        Sql::InList { expr, list, negated } => {
            let values = list
                .iter()
                .map(|item| match read(item)? {
                    Expression::Literal(Some(value)) => Ok(value),
                    Expression::Literal(None) => Err(ExpressionError(
                        "null in an `in` list is never equal to anything; use `is null` beside it".to_owned(),
                    )),
                    _ => refuse(format!("in (… {item} …)")),
                })
                .collect::<Read<_>>()?;
            negate_if(*negated, Expression::In(boxed(expr)?, values))
        }
        Sql::Like { negated, any: false, expr, pattern, escape_char: None } => {
            negate_if(*negated, Expression::Like(boxed(expr)?, text(pattern)?, false))
        }
        Sql::ILike { negated, any: false, expr, pattern, escape_char: None } => {
            negate_if(*negated, Expression::Like(boxed(expr)?, text(pattern)?, true))
        }
        Sql::Case { operand, conditions, else_result, .. } => {
            let operand = operand.as_deref().map(read).transpose()?;
            let branches = conditions
                .iter()
                .map(|branch| {
                    let when = read(&branch.condition)?;
                    let when = match &operand {
                        Some(operand) => operand.clone().compare(Comparison::Equal, when),
                        None => when,
                    };
                    Ok((when, read(&branch.result)?))
                })
                .collect::<Read<_>>()?;
            let otherwise = else_result.as_deref().map_or(Ok(Expression::Literal(None)), read)?;
            Expression::Case(branches, Box::new(otherwise))
        }
        Sql::Trim { trim_where: None, trim_what: None, expr, trim_characters: None } => {
            Expression::Call(Function::Trim, vec![read(expr)?])
        }
        Sql::Function(call) => function(sql, call)?,
        _ => return refuse(sql),
    })
}

fn binary(whole: &Sql, left: &Sql, op: &BinaryOperator, right: &Sql) -> Read {
    let compared = |how| Ok(read(left)?.compare(how, read(right)?));
    let combined = |how| Ok(Expression::Arithmetic(how, boxed(left)?, boxed(right)?));
    match op {
        BinaryOperator::And => Ok(Expression::And(vec![read(left)?, read(right)?])),
        BinaryOperator::Or => Ok(Expression::Or(vec![read(left)?, read(right)?])),
        BinaryOperator::Eq => compared(Comparison::Equal),
        BinaryOperator::NotEq => compared(Comparison::NotEqual),
        BinaryOperator::Lt => compared(Comparison::Less),
        BinaryOperator::LtEq => compared(Comparison::LessOrEqual),
        BinaryOperator::Gt => compared(Comparison::Greater),
        BinaryOperator::GtEq => compared(Comparison::GreaterOrEqual),
        BinaryOperator::Plus => combined(Arithmetic::Add),
        BinaryOperator::Minus => combined(Arithmetic::Subtract),
        BinaryOperator::Multiply => combined(Arithmetic::Multiply),
        BinaryOperator::Divide => combined(Arithmetic::Divide),
        BinaryOperator::PGRegexMatch => Ok(Expression::Matches(boxed(left)?, pattern(right)?)),
        BinaryOperator::PGRegexNotMatch => Ok(Expression::Matches(boxed(left)?, pattern(right)?).negated()),
        _ => refuse(whole),
    }
}

fn text(sql: &Sql) -> Read<String> {
    match read(sql)? {
        Expression::Literal(Some(Scalar::Text(text))) => Ok(text),
        _ => refuse(format!("like {sql}")),
    }
}

fn pattern(sql: &Sql) -> Read<String> {
    let pattern = text(sql)?;
    match regex::Regex::new(&pattern) {
        Ok(_) => Ok(pattern),
        Err(error) => {
            Err(ExpressionError(format!("not a regular expression: {}", crate::expression::last_line(&error))))
        }
    }
}

fn literal(value: &Value) -> Read<Option<Scalar>> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Boolean(value) => Scalar::Bool(*value),
        Value::SingleQuotedString(value) => Scalar::Text(value.clone()),
        Value::Number(digits, _) => match Scalar::number(digits) {
            Some(number) => number,
            None => return refuse(digits),
        },
        other => return refuse(other),
    }))
}

fn typed_literal(kind: &DataType, value: &Value) -> Read<Scalar> {
    let Value::SingleQuotedString(text) = value else { return refuse(value) };
    let read = match kind {
        DataType::Date => read_date(text).map(Scalar::Date),
        DataType::Timestamp(None, sqlparser::ast::TimezoneInfo::None) => read_timestamp(text).map(Scalar::Timestamp),
        DataType::Timestamp(None, _) => read_instant(text).map(Scalar::Instant),
        DataType::Time(None, sqlparser::ast::TimezoneInfo::None) => read_time(text).map(Scalar::Time),
        _ => return refuse(format!("{kind} '{text}'")),
    };
    read.ok_or_else(|| ExpressionError(format!("'{text}' is not a {kind}")))
}

fn function(whole: &Sql, call: &SqlFunction) -> Read {
    let name = call.name.to_string().to_lowercase();
    let Some((_, function)) = Function::ALL.iter().find(|(known, _)| *known == name) else {
        let hint = did_you_mean(&name, Function::ALL.iter().map(|(known, _)| *known));
        return Err(ExpressionError(format!("unknown function `{name}` ({hint})")));
    };
    let FunctionArguments::List(list) = &call.args else { return refuse(whole) };
    if call.over.is_some() || call.filter.is_some() || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return refuse(whole);
    }
    let arguments: Vec<_> = list
        .args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) => read(inner),
            _ => refuse(whole),
        })
        .collect::<Read<_>>()?;
    let fits = if *function == Function::Coalesce { !arguments.is_empty() } else { arguments.len() == 1 };
    if !fits {
        return Err(ExpressionError(format!("`{name}` does not take {} arguments", arguments.len())));
    }
    Ok(Expression::Call(*function, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        text.parse::<Expression>().expect_err(text).to_string()
    }

    #[test]
    fn the_subset_reads() {
        for text in [
            "quantity * unit_price = line_total",
            "a is not null and (b > 1.5 or not c) and lower(trim(d)) like 'x%'",
            "case when a > 0 then 'plus' else 'minus' end in ('plus', 'minus')",
            "\"Odd Name\" between date '2024-01-01' and date '2024-12-31'",
            "a is distinct from b or coalesce(a, b, -1) <> abs(c) / 2",
            "code ~ '^[A-Z]{2}\\d+$' and code !~ 'x'",
        ] {
            text.parse::<Expression>().unwrap_or_else(|e| panic!("{text}: {e}"));
        }
    }

    #[test]
    fn what_lies_outside_is_named() {
        assert_eq!(fault("a = (select 1)"), "`(SELECT 1)` is outside of the SQL that conditions may use");
        assert_eq!(fault("lenght(a) > 1"), "unknown function `lenght` (did you mean `length`?)");
        assert_eq!(fault("a > 1; drop table x"), "expected the end of the expression, found `;`");
        assert_eq!(fault("a like b"), "`like b` is outside of the SQL that conditions may use");
        assert!(fault("a >").starts_with("not a SQL expression:"), "{}", fault("a >"));
        assert!(fault("a ~ '('").starts_with("not a regular expression:"), "{}", fault("a ~ '('"));
        assert_eq!(fault("d > date '2024-02-30'"), "'2024-02-30' is not a DATE");
    }
}
