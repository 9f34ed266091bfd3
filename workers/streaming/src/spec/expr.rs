//! Conditions and values written as SQL expressions, compiled to a tree whose leaves are slots.
//!
//! Comparisons follow SQL: a null makes the answer unknown, and an unknown condition does not hold.

use super::scalar::Scalar;
use sqlparser::{
    ast::{self, BinaryOperator, UnaryOperator},
    dialect::PostgreSqlDialect,
    parser::Parser,
    tokenizer::Token,
};

/// A value of an expression; text is borrowed from the record or from the expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    /// Absent, null, or unknown.
    Null,
    /// True or false.
    Bool(bool),
    /// A number, always finite.
    Number(f64),
    /// Text.
    Text(&'a str),
}

/// What an expression yields, as far as it can be told before a record is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Number,
    Text,
    /// A field's: decided by each record.
    Any,
}

impl Type {
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Bool => "a condition",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Any => "a field",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// What SQL's operator means.
    pub(super) fn of(op: &BinaryOperator) -> Option<Self> {
        Some(match op {
            BinaryOperator::Eq => Self::Equal,
            BinaryOperator::NotEq => Self::NotEqual,
            BinaryOperator::Lt => Self::Less,
            BinaryOperator::LtEq => Self::LessOrEqual,
            BinaryOperator::Gt => Self::Greater,
            BinaryOperator::GtEq => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// In words, as in "count is 6, at least 4".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Equal => "which is",
            Self::NotEqual => "which is not",
            Self::Less => "less than",
            Self::LessOrEqual => "at most",
            Self::Greater => "more than",
            Self::GreaterOrEqual => "at least",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// An expression over leaves `L`: slots of a record, or aggregates of a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr<L> {
    Leaf(L),
    Null,
    Bool(bool),
    Number(f64),
    Text(Box<str>),
    Not(Box<Self>),
    Negate(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    Arithmetic(Arithmetic, Box<Self>, Box<Self>),
    In { value: Box<Self>, list: Vec<Self>, negated: bool },
    IsNull { value: Box<Self>, negated: bool },
    Call(Scalar, Vec<Self>),
}

impl<L> Expr<L> {
    /// The expression's value, given that of each leaf.
    pub(crate) fn eval<'a>(&'a self, leaf: &impl Fn(&L) -> Value<'a>) -> Value<'a> {
        match self {
            Self::Call(function, arguments) => function.call(arguments, leaf),
            Self::Leaf(at) => leaf(at),
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => Value::Number(*value),
            Self::Text(text) => Value::Text(text),
            Self::Not(inner) => truth(inner.truth(leaf).map(|t| !t)),
            Self::Negate(inner) => inner.number(leaf).map_or(Value::Null, |n| Value::Number(-n)),
            Self::And(..) | Self::Or(..) | Self::Compare(..) | Self::In { .. } | Self::IsNull { .. } => {
                truth(self.truth(leaf))
            }
            Self::Arithmetic(op, left, right) => {
                let (Some(left), Some(right)) = (left.number(leaf), right.number(leaf)) else { return Value::Null };
                let result = match op {
                    Arithmetic::Add => left + right,
                    Arithmetic::Subtract => left - right,
                    Arithmetic::Multiply => left * right,
                    Arithmetic::Divide => left / right,
                };
                if result.is_finite() { Value::Number(result) } else { Value::Null }
            }
        }
    }

    /// The expression as a number; `None` where it is null or not one.
    pub(crate) fn number<'a>(&'a self, leaf: &impl Fn(&L) -> Value<'a>) -> Option<f64> {
        match self.eval(leaf) {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Whether the condition holds; an unknown one does not.
    pub(crate) fn holds<'a>(&'a self, leaf: &impl Fn(&L) -> Value<'a>) -> bool {
        self.truth(leaf) == Some(true)
    }

    fn truth<'a>(&'a self, leaf: &impl Fn(&L) -> Value<'a>) -> Option<bool> {
        match self {
            // What stands first is asked first, and often settles it.
            Self::And(left, right) => match left.truth(leaf) {
                Some(false) => Some(false),
                left => match right.truth(leaf) {
                    Some(false) => Some(false),
                    right => left.and(right),
                },
            },
            Self::Or(left, right) => match left.truth(leaf) {
                Some(true) => Some(true),
                left => match right.truth(leaf) {
                    Some(true) => Some(true),
                    right => left.and(right),
                },
            },
            Self::Compare(op, left, right) => compare(*op, left.eval(leaf), right.eval(leaf)),
            Self::In { value, list, negated } => {
                let value = value.eval(leaf);
                let mut found = Some(false);
                for item in list {
                    match compare(Comparison::Equal, value, item.eval(leaf)) {
                        Some(true) => return Some(!negated),
                        Some(false) => {}
                        None => found = None,
                    }
                }
                found.map(|f| f != *negated)
            }
            Self::IsNull { value, negated } => Some((value.eval(leaf) == Value::Null) != *negated),
            other => match other.eval(leaf) {
                Value::Bool(value) => Some(value),
                _ => None,
            },
        }
    }
}

fn truth<'a>(value: Option<bool>) -> Value<'a> {
    value.map_or(Value::Null, Value::Bool)
}

/// Whether the comparison holds; `None` where a side is null or the sides are of different types.
pub(crate) fn compare(op: Comparison, left: Value<'_>, right: Value<'_>) -> Option<bool> {
    let order = match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(&right)?,
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(&right),
        _ => return None,
    };
    Some(match op {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

/// Names that an expression may use, and what stands for them.
pub(crate) trait Scope {
    /// What a name or a call compiles to.
    type Leaf;
    /// The leaf of a plain name, and its type.
    fn name(&mut self, name: &str) -> Result<(Self::Leaf, Type), String>;
    /// The leaf of `table.column`.
    fn column(&mut self, table: &str, column: &str) -> Result<(Self::Leaf, Type), String> {
        Err(format!("`{table}.{column}`: a field inside another cannot be named yet; use top-level fields"))
    }
    /// The leaf of an aggregate.
    fn call(&mut self, call: &AggregateCall<'_>) -> Result<(Self::Leaf, Type), String>;
    /// The leaf that yields the time of the event at hand, in seconds since 1970; `None` where there is none.
    fn now(&mut self) -> Option<Self::Leaf> {
        None
    }
    /// Told when a leaf stands where only a number makes sense.
    fn must_be_number(&mut self, leaf: &Self::Leaf);
}

/// A call as its author wrote it, which is no function of plain values.
#[derive(Debug)]
pub(crate) struct AggregateCall<'a> {
    /// In lower case.
    pub(crate) function: &'a str,
    /// `None` stands for `*` or for no argument.
    pub(crate) argument: Option<&'a ast::Expr>,
    pub(crate) distinct: bool,
    /// `filter (where …)`.
    pub(crate) filter: Option<&'a ast::Expr>,
    /// `over …`.
    pub(crate) over: Option<&'a str>,
}

/// Parses `text` as one SQL expression.
pub(crate) fn parse(text: &str) -> Result<ast::Expr, String> {
    let unreadable = |e: sqlparser::parser::ParserError| {
        let reason = e.to_string();
        let reason = reason.trim_start_matches("sql parser error: ");
        format!("`{text}` is not a SQL expression: {reason}")
    };
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(unreadable)?;
    let expr = parser.parse_expr().map_err(unreadable)?;
    match parser.peek_token().token {
        Token::EOF => Ok(expr),
        rest => Err(format!("`{text}` goes on after its end, at `{rest}`")),
    }
}

/// Compiles an expression that must be a condition.
pub(crate) fn condition<S: Scope>(expr: &ast::Expr, scope: &mut S) -> Result<Expr<S::Leaf>, String> {
    match compile(expr, scope)? {
        (compiled, Type::Bool | Type::Any) => Ok(compiled),
        (_, other) => Err(format!("`{expr}` is {}, not a condition", other.noun())),
    }
}

/// Compiles an expression that must be a number.
pub(crate) fn number<S: Scope>(expr: &ast::Expr, scope: &mut S) -> Result<Expr<S::Leaf>, String> {
    let (compiled, kind) = compile(expr, scope)?;
    if let Expr::Leaf(leaf) = &compiled {
        scope.must_be_number(leaf);
    }
    match kind {
        Type::Number | Type::Any => Ok(compiled),
        other => Err(format!("`{expr}` is {}, not a number", other.noun())),
    }
}

pub(super) fn compile<S: Scope>(expr: &ast::Expr, scope: &mut S) -> Result<(Expr<S::Leaf>, Type), String> {
    Ok(match expr {
        ast::Expr::Nested(inner) => compile(inner, scope)?,
        ast::Expr::Identifier(name) => {
            let (leaf, kind) = scope.name(&name.value)?;
            (Expr::Leaf(leaf), kind)
        }
        ast::Expr::Value(value) => literal(&value.value)?,
        ast::Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            (Expr::Not(Box::new(condition(expr, scope)?)), Type::Bool)
        }
        ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match number(expr, scope)? {
            Expr::Number(value) => (Expr::Number(-value), Type::Number),
            inner => (Expr::Negate(Box::new(inner)), Type::Number),
        },
        ast::Expr::BinaryOp { left, op, right } => binary(left, op, right, scope)?,
        ast::Expr::Between { expr, negated, low, high } => {
            let above = comparison(Comparison::GreaterOrEqual, expr, low, scope)?;
            let below = comparison(Comparison::LessOrEqual, expr, high, scope)?;
            let between = Expr::And(Box::new(above), Box::new(below));
            (if *negated { Expr::Not(Box::new(between)) } else { between }, Type::Bool)
        }
        ast::Expr::InList { expr: value, list, negated } => {
            let (compiled, kind) = compile(value, scope)?;
            let mut items = Vec::with_capacity(list.len());
            for item in list {
                let (item_compiled, item_kind) = compile(item, scope)?;
                comparable(value, kind, item, item_kind)?;
                items.push(item_compiled);
            }
            (Expr::In { value: Box::new(compiled), list: items, negated: *negated }, Type::Bool)
        }
        ast::Expr::IsNull(inner) | ast::Expr::IsNotNull(inner) => {
            let negated = matches!(expr, ast::Expr::IsNotNull(_));
            (Expr::IsNull { value: Box::new(compile(inner, scope)?.0), negated }, Type::Bool)
        }
        ast::Expr::Function(call) => function(call, scope)?,
        ast::Expr::CompoundIdentifier(path) => match path.as_slice() {
            [table, column] => {
                let (leaf, kind) = scope.column(&table.value, &column.value)?;
                (Expr::Leaf(leaf), kind)
            }
            _ => return Err(format!("`{expr}` has too many dots")),
        },
        other => return Err(format!("`{other}` is not supported in a stream's expressions")),
    })
}

fn binary<S: Scope>(
    left: &ast::Expr,
    op: &BinaryOperator,
    right: &ast::Expr,
    scope: &mut S,
) -> Result<(Expr<S::Leaf>, Type), String> {
    if let Some(op) = Comparison::of(op) {
        return Ok((comparison(op, left, right, scope)?, Type::Bool));
    }
    let arithmetic = match op {
        BinaryOperator::Plus => Arithmetic::Add,
        BinaryOperator::Minus => Arithmetic::Subtract,
        BinaryOperator::Multiply => Arithmetic::Multiply,
        BinaryOperator::Divide => Arithmetic::Divide,
        BinaryOperator::And | BinaryOperator::Or => {
            let sides = (Box::new(condition(left, scope)?), Box::new(condition(right, scope)?));
            let joined =
                if *op == BinaryOperator::And { Expr::And(sides.0, sides.1) } else { Expr::Or(sides.0, sides.1) };
            return Ok((joined, Type::Bool));
        }
        other => return Err(format!("the operator `{other}` is not supported in a stream's expressions")),
    };
    let sides = (Box::new(number(left, scope)?), Box::new(number(right, scope)?));
    Ok((Expr::Arithmetic(arithmetic, sides.0, sides.1), Type::Number))
}

fn comparison<S: Scope>(
    op: Comparison,
    left: &ast::Expr,
    right: &ast::Expr,
    scope: &mut S,
) -> Result<Expr<S::Leaf>, String> {
    let (left_compiled, left_kind) = compile(left, scope)?;
    let (right_compiled, right_kind) = compile(right, scope)?;
    comparable(left, left_kind, right, right_kind)?;
    Ok(Expr::Compare(op, Box::new(left_compiled), Box::new(right_compiled)))
}

fn comparable(left: &ast::Expr, left_kind: Type, right: &ast::Expr, right_kind: Type) -> Result<(), String> {
    if left_kind == right_kind || left_kind == Type::Any || right_kind == Type::Any {
        return Ok(());
    }
    Err(format!("`{left}` is {} and `{right}` is {}: they cannot be compared", left_kind.noun(), right_kind.noun()))
}

fn literal<L>(value: &ast::Value) -> Result<(Expr<L>, Type), String> {
    Ok(match value {
        ast::Value::Number(digits, _) => {
            let number = digits.parse::<f64>().ok().filter(|n| n.is_finite());
            (Expr::Number(number.ok_or_else(|| format!("`{digits}` is not a number"))?), Type::Number)
        }
        ast::Value::SingleQuotedString(text) => (Expr::Text(text.as_str().into()), Type::Text),
        ast::Value::Boolean(value) => (Expr::Bool(*value), Type::Bool),
        ast::Value::Null => (Expr::Null, Type::Any),
        other => return Err(format!("the literal `{other}` is not supported in a stream's expressions")),
    })
}

fn function<S: Scope>(call: &ast::Function, scope: &mut S) -> Result<(Expr<S::Leaf>, Type), String> {
    let name = call.name.to_string().to_ascii_lowercase();
    let ast::FunctionArguments::List(list) = &call.args else {
        return Err(format!("`{call}` is not a call that a stream understands"));
    };
    if !call.within_group.is_empty() || !list.clauses.is_empty() {
        return Err(format!("`{call}`: WITHIN GROUP and ORDER BY are not supported"));
    }
    let mut arguments = Vec::with_capacity(list.args.len());
    for argument in &list.args {
        match argument {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard) if list.args.len() == 1 => {}
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument)) => arguments.push(argument),
            other => return Err(format!("`{call}`: the argument `{other}` is not supported")),
        }
    }
    if let Some(function) = Scalar::named(&name) {
        if call.over.is_some() || call.filter.is_some() {
            return Err(format!("`{call}`: `{name}` is about one event; OVER and FILTER belong to aggregates"));
        }
        return function.compile(call, &arguments, scope);
    }
    let over = match &call.over {
        None => None,
        Some(ast::WindowType::NamedWindow(window)) => Some(window.value.as_str()),
        Some(ast::WindowType::WindowSpec(_)) => {
            return Err(format!(
                "`{call}`: name the window, as in `{name}(…) over day`, and give its length under `windows`"
            ));
        }
    };
    if arguments.len() > 1 {
        return Err(format!("`{call}`: `{name}` takes one argument"));
    }
    let (leaf, kind) = scope.call(&AggregateCall {
        function: &name,
        argument: arguments.first().copied(),
        distinct: list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct),
        filter: call.filter.as_deref(),
        over,
    })?;
    Ok((Expr::Leaf(leaf), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names `a`, `b` … are slots 0, 1 …; there are no functions.
    struct Letters;

    impl Scope for Letters {
        type Leaf = usize;
        fn name(&mut self, name: &str) -> Result<(usize, Type), String> {
            Ok((usize::from(name.as_bytes()[0] - b'a'), Type::Any))
        }
        fn call(&mut self, call: &AggregateCall<'_>) -> Result<(usize, Type), String> {
            Err(format!("no `{}` here", call.function))
        }
        fn must_be_number(&mut self, _: &usize) {}
    }

    fn holds(text: &str, values: &[Value<'static>]) -> bool {
        let parsed = parse(text).expect("an expression");
        let compiled = condition(&parsed, &mut Letters).expect("a condition");
        // The leaves outlive the call because they are static.
        let values = values.to_vec();
        compiled.holds(&|slot| values[*slot])
    }

    #[test]
    fn conditions_hold_as_in_sql() {
        let (five, text) = (Value::Number(5.0), Value::Text("DE"));
        assert!(holds("a >= 4 or b = 'x'", &[five, text]));
        assert!(holds("a * 2 - 1 = 9 and b in ('AT', 'DE')", &[five, text]));
        assert!(holds("a between 5 and 6 and not a between 6 and 7", &[five, text]));
        assert!(holds("b <> 'FR' and b is not null", &[five, text]));
        assert!(holds("-a < -4.5", &[five]));
        assert!(!holds("b not in ('FR', null)", &[five, text]), "a null in the list makes the answer unknown");
    }

    #[test]
    fn a_null_makes_the_answer_unknown_and_unknown_does_not_hold() {
        let null = &[Value::Null, Value::Number(1.0)];
        for text in ["a = 1", "not a = 1", "a <> 1", "a + 1 > 0", "a in (1)", "a not in (1)", "a = 1 and b = 1"] {
            assert!(!holds(text, null), "{text}");
        }
        assert!(holds("a is null", null));
        assert!(holds("a = 1 or b = 1", null));
        assert!(!holds("b / 0 > 1 or b / 0 <= 1", null), "division by zero is unknown");
    }

    #[test]
    fn what_cannot_be_compiled_says_why() {
        let fault = |text: &str| parse(text).and_then(|e| condition(&e, &mut Letters).map(|_| ())).expect_err(text);
        assert_eq!(fault("a + 1"), "`a + 1` is a number, not a condition");
        assert_eq!(fault("1 = 'x'"), "`1` is a number and `'x'` is text: they cannot be compared");
        assert_eq!(fault("a > 1 b"), "`a > 1 b` goes on after its end, at `b`");
        assert_eq!(fault("a.b = 1"), "`a.b`: a field inside another cannot be named yet; use top-level fields");
        assert!(fault("a >").starts_with("`a >` is not a SQL expression:"), "{}", fault("a >"));
    }
}
