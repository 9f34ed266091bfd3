//! Row conditions as Great Expectations has them, read into an [`Expression`]: the language of `DataFrame.query`, which
//! pandas has, the `col("…")` of Great Expectations itself, and Spark's SQL.
//!
//! In the first two a comparison with a null is false, and `!=` is true, as in pandas; only SQL knows a third value.

use super::{Arithmetic, Comparison, Expression};
use crate::value::Scalar;

/// The names that `condition_parser` may have.
pub(crate) const PARSERS: [&str; 4] = ["pandas", "spark", "great_expectations", "great_expectations__experimental__"];

/// Reads a condition in the language of `parser`, which is one of [`PARSERS`].
///
/// # Errors
/// Where it is no condition, or uses what is not known here.
pub(crate) fn read(text: &str, parser: &str) -> Result<Expression, String> {
    if parser == "spark" {
        return as_sql(text).parse::<Expression>().map_err(|error| error.to_string());
    }
    let mut reader = Reader { tokens: tokens(text)?, at: 0 };
    let read = reader.either()?;
    match reader.tokens.get(reader.at) {
        None => Ok(read),
        Some(token) => Err(format!("expected the end of the condition, found `{}`", token.shown())),
    }
}

/// Spark takes `==` for `=`.
fn as_sql(text: &str) -> String {
    let mut sql = String::with_capacity(text.len());
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '=') if characters.peek() == Some(&'=') => {
                characters.next();
            }
            _ => {}
        }
        // A column in backticks is one in double quotes.
        sql.push(if character == '`' && quote.is_none() { '"' } else { character });
    }
    sql
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A bare word: a column, a keyword, a function.
    Word(String),
    /// A column in backticks.
    Column(String),
    Constant(Scalar),
    Sign(&'static str),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Column(text) => text.clone(),
            Self::Constant(value) => value.to_string(),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

const SIGNS: [&str; 20] =
    ["==", "!=", "<=", ">=", "<", ">", "&", "|", "~", "(", ")", "[", "]", ",", "+", "-", "*", "/", ".", "="];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' | '`' => {
                let inner = &rest[1..];
                let end = inner.find(first).ok_or_else(|| format!("the {first} is never closed"))?;
                let inner = inner[..end].to_owned();
                found.push(if first == '`' { Token::Column(inner) } else { Token::Constant(Scalar::Text(inner)) });
                end + 2
            }
            '0'..='9' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
                let number =
                    Scalar::number(&rest[..end]).ok_or_else(|| format!("`{}` is not a number", &rest[..end]))?;
                found.push(Token::Constant(number));
                end
            }
            first if first.is_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                found.push(Token::Word(rest[..end].to_owned()));
                end
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| format!("`{first}` has no place in a row condition"))?;
                found.push(Token::Sign(sign));
                sign.len()
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    /// Takes the next token if it is this sign, or this word.
    fn takes(&mut self, wanted: &str) -> bool {
        let is = match self.tokens.get(self.at) {
            Some(Token::Sign(sign)) => *sign == wanted,
            Some(Token::Word(word)) => word == wanted,
            _ => false,
        };
        self.at += usize::from(is);
        is
    }

    fn needs(&mut self, wanted: &str) -> Result<(), String> {
        if self.takes(wanted) { Ok(()) } else { Err(format!("expected `{wanted}`, found {}", self.next_shown())) }
    }

    fn next_shown(&self) -> String {
        self.tokens.get(self.at).map_or_else(|| "the end".to_owned(), |token| format!("`{}`", token.shown()))
    }

    fn either(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.both()?];
        while self.takes("|") || self.takes("or") {
            parts.push(self.both()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Or(parts) })
    }

    fn both(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.negation()?];
        while self.takes("&") || self.takes("and") {
            parts.push(self.negation()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::And(parts) })
    }

    fn negation(&mut self) -> Result<Expression, String> {
        if self.takes("~") || self.takes("not") { Ok(self.negation()?.is_not_true()) } else { self.comparison() }
    }

    /// One comparison, or several in a row: `0 < a <= 5`.
    fn comparison(&mut self) -> Result<Expression, String> {
        let mut left = self.sum()?;
        let mut parts = Vec::new();
        loop {
            let negated = self.takes("not");
            if self.takes("in") {
                let inside = Expression::IsTrue(Box::new(Expression::In(Box::new(left.clone()), self.list()?)));
                parts.push(if negated { inside.negated() } else { inside });
                break;
            }
            if negated {
                return Err(format!("expected `in` after `not`, found {}", self.next_shown()));
            }
            let signs = [
                ("==", Comparison::Equal),
                ("!=", Comparison::NotEqual),
                ("<=", Comparison::LessOrEqual),
                (">=", Comparison::GreaterOrEqual),
                ("<", Comparison::Less),
                (">", Comparison::Greater),
            ];
            let Some((_, how)) = signs.into_iter().find(|(sign, _)| self.takes(sign)) else { break };
            let right = self.sum()?;
            parts.push(match how {
                Comparison::NotEqual => left.compare(Comparison::Equal, right.clone()).is_not_true(),
                how => Expression::IsTrue(Box::new(left.compare(how, right.clone()))),
            });
            left = right;
        }
        Ok(match parts.len() {
            0 => left,
            1 => parts.remove(0),
            _ => Expression::And(parts),
        })
    }

    fn list(&mut self) -> Result<Vec<Scalar>, String> {
        let close = if self.takes("[") {
            "]"
        } else {
            self.needs("(")?;
            ")"
        };
        let mut values = Vec::new();
        while !self.takes(close) {
            if !values.is_empty() {
                self.needs(",")?;
            }
            match self.sum()? {
                Expression::Literal(Some(value)) => values.push(value),
                _ => return Err("a list has constants in it, and nothing else".to_owned()),
            }
        }
        Ok(values)
    }

    fn sum(&mut self) -> Result<Expression, String> {
        let mut left = self.product()?;
        loop {
            let how = match () {
                () if self.takes("+") => Arithmetic::Add,
                () if self.takes("-") => Arithmetic::Subtract,
                () => return Ok(left),
            };
            left = Expression::Arithmetic(how, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.value()?;
        loop {
            let how = match () {
                () if self.takes("*") => Arithmetic::Multiply,
                () if self.takes("/") => Arithmetic::Divide,
                () => return Ok(left),
            };
            left = Expression::Arithmetic(how, Box::new(left), Box::new(self.value()?));
        }
    }

    fn value(&mut self) -> Result<Expression, String> {
        if self.takes("-") {
            return Ok(match self.value()? {
                Expression::Literal(Some(Scalar::Decimal { units, scale })) => {
                    Expression::literal(Scalar::Decimal { units: -units, scale })
                }
                Expression::Literal(Some(Scalar::Float(value))) => Expression::literal(Scalar::Float(-value)),
                other => Expression::Negate(Box::new(other)),
            });
        }
        if self.takes("(") {
            let inner = self.either()?;
            self.needs(")")?;
            return Ok(inner);
        }
        let token = self.tokens.get(self.at).cloned().ok_or("the condition ends too early")?;
        self.at += 1;
        let mut value = match token {
            Token::Constant(value) => Expression::literal(value),
            Token::Column(name) => Expression::Column(name),
            Token::Word(word) => match word.as_str() {
                "True" | "true" => Expression::literal(Scalar::Bool(true)),
                "False" | "false" => Expression::literal(Scalar::Bool(false)),
                "None" => Expression::Literal(None),
                "col" if self.takes("(") => self.named_column()?,
                _ => Expression::Column(word),
            },
            Token::Sign(sign) => return Err(format!("expected a value, found `{sign}`")),
        };
        while self.takes(".") {
            value = self.method(value)?;
        }
        Ok(value)
    }

    fn named_column(&mut self) -> Result<Expression, String> {
        let Some(Token::Constant(Scalar::Text(name))) = self.tokens.get(self.at).cloned() else {
            return Err("`col` takes the name of a column in quotes".to_owned());
        };
        self.at += 1;
        self.needs(")")?;
        Ok(Expression::Column(name))
    }

    fn method(&mut self, value: Expression) -> Result<Expression, String> {
        let name = self.next_shown();
        self.at += 1;
        self.needs("(")?;
        self.needs(")")?;
        match name.trim_matches('`') {
            "isnull" | "isna" | "isNull" => Ok(value.is_null()),
            "notnull" | "notna" | "notNull" => Ok(value.is_not_null()),
            other => Err(format!("the method `{other}` is not known here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_each_language_mean_the_same() {
        let pandas = read("(a == 5) & (`b c` == \"e\")", "pandas").expect("a condition");
        assert_eq!(read("a==5 and `b c`=='e'", "pandas").expect("a condition"), pandas);
        assert_eq!(read("col(\"a\")==5 & col(\"b c\")==\"e\"", "great_expectations").expect("a condition"), pandas);
        let chained = read("0 < a <= 5", "pandas").expect("a condition");
        assert_eq!(read("0 < a and a <= 5", "pandas").expect("a condition"), chained);
        assert_eq!(
            read("a == 'x==y' and b > 1", "spark").expect("a condition"),
            "a = 'x==y' and b > 1".parse().expect("a condition")
        );
    }

    #[test]
    fn in_pandas_an_unequal_null_is_unequal() {
        let unequal = read("a != 1", "pandas").expect("a condition");
        let equal = Expression::column("a").compare(Comparison::Equal, Expression::literal(Scalar::int(1)));
        assert_eq!(unequal, equal.is_not_true());
    }

    #[test]
    fn what_is_not_known_is_named() {
        let fault = |text: &str| read(text, "pandas").expect_err(text);
        assert_eq!(fault("a =="), "the condition ends too early");
        assert_eq!(fault("a.str.len() > 1"), "expected `(`, found `.`");
        assert_eq!(fault("a.mean() > 1"), "the method `mean` is not known here");
        assert_eq!(fault("a > 1 b"), "expected the end of the condition, found `b`");
        assert_eq!(fault("a = @x"), "`@` has no place in a row condition");
    }
}
