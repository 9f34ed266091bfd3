//! Functions of plain values that a stream's expressions may use, such as `distance_km` and `coalesce`.

use chrono::DateTime;
use sqlparser::ast;

use super::expr::{Arithmetic, Expr, Scope, Type, Value, compile, number};

/// A function of the values of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    /// `abs(x)`.
    Abs,
    /// `coalesce(x, y, …)`: the first that is not null.
    Coalesce,
    /// `least(x, y, …)`, nulls aside.
    Least,
    /// `greatest(x, y, …)`, nulls aside.
    Greatest,
    /// `distance_km(lat1, lon1, lat2, lon2)` over the surface of a sphere of 6,371.0088 km (the mean radius of IUGG).
    DistanceKm,
    /// A time as seconds since 1970: of RFC 3339 text, or of a number of seconds. What `seconds_since` is made of.
    Epoch,
}

const NAMES: [(&str, Scalar, &str); 5] = [
    ("abs", Scalar::Abs, "one number"),
    ("coalesce", Scalar::Coalesce, "two values or more"),
    ("least", Scalar::Least, "two numbers or more"),
    ("greatest", Scalar::Greatest, "two numbers or more"),
    ("distance_km", Scalar::DistanceKm, "lat1, lon1, lat2, lon2"),
];

impl Scalar {
    /// The function of that name, in lower case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if name == "seconds_since" {
            return Some(Self::Epoch);
        }
        NAMES.iter().find(|(known, ..)| *known == name).map(|(_, function, _)| *function)
    }

    /// All names, for hints.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, ..)| *name).chain(["seconds_since"])
    }

    /// Compiles a call of this function.
    pub(super) fn compile<S: Scope>(
        self,
        call: &ast::Function,
        arguments: &[&ast::Expr],
        scope: &mut S,
    ) -> Result<(Expr<S::Leaf>, Type), String> {
        let fits = match self {
            Self::Abs | Self::Epoch => arguments.len() == 1,
            Self::Coalesce | Self::Least | Self::Greatest => arguments.len() >= 2,
            Self::DistanceKm => arguments.len() == 4,
        };
        if !fits {
            let takes = NAMES.iter().find(|(_, function, _)| *function == self).map_or("one time", |(.., takes)| takes);
            return Err(format!("`{call}` takes {takes}"));
        }
        match self {
            Self::Coalesce => {
                let mut compiled = Vec::with_capacity(arguments.len());
                let mut kind = Type::Any;
                for argument in arguments {
                    let (value, its) = compile(argument, scope)?;
                    if kind != Type::Any && its != Type::Any && its != kind {
                        return Err(format!("`{call}` mixes {} and {}", kind.noun(), its.noun()));
                    }
                    kind = if kind == Type::Any { its } else { kind };
                    compiled.push(value);
                }
                Ok((Expr::Call(self, compiled), kind))
            }
            Self::Epoch => {
                let Some(now) = scope.now() else {
                    return Err(format!("`{call}` can stand in a rule's `when` only"));
                };
                let then = Expr::Call(self, vec![compile(arguments[0], scope)?.0]);
                let since = Expr::Arithmetic(Arithmetic::Subtract, Box::new(Expr::Leaf(now)), Box::new(then));
                Ok((since, Type::Number))
            }
            _ => {
                let compiled = arguments.iter().map(|argument| number(argument, scope)).collect::<Result<_, _>>()?;
                Ok((Expr::Call(self, compiled), Type::Number))
            }
        }
    }

    /// The value of a call.
    pub(super) fn call<'a, L>(self, arguments: &'a [Expr<L>], leaf: &impl Fn(&L) -> Value<'a>) -> Value<'a> {
        let numbers = || arguments.iter().filter_map(|argument| argument.number(leaf));
        let result = match self {
            Self::Coalesce => {
                let mut values = arguments.iter().map(|argument| argument.eval(leaf));
                return values.find(|value| *value != Value::Null).unwrap_or(Value::Null);
            }
            Self::Abs => numbers().next().map(f64::abs),
            Self::Least => numbers().reduce(f64::min),
            Self::Greatest => numbers().reduce(f64::max),
            Self::DistanceKm => match arguments {
                [a, b, c, d] => match (a.number(leaf), b.number(leaf), c.number(leaf), d.number(leaf)) {
                    (Some(lat), Some(lon), Some(to_lat), Some(to_lon)) => Some(distance_km(lat, lon, to_lat, to_lon)),
                    _ => None,
                },
                _ => None,
            },
            Self::Epoch => match arguments.first().map(|argument| argument.eval(leaf)) {
                Some(Value::Number(seconds)) => Some(seconds),
                Some(Value::Text(text)) => {
                    DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_micros() as f64 / 1e6)
                }
                _ => None,
            },
        };
        result.filter(|number| number.is_finite()).map_or(Value::Null, Value::Number)
    }
}

/// Great-circle distance by the haversine formula, which is exact for small distances too; degrees in, kilometres out.
fn distance_km(lat: f64, lon: f64, to_lat: f64, to_lon: f64) -> f64 {
    const RADIUS_KM: f64 = 6_371.008_8;
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let chord = half(lat, to_lat) + lat.to_radians().cos() * to_lat.to_radians().cos() * half(lon, to_lon);
    2.0 * RADIUS_KM * chord.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::distance_km;

    #[test]
    fn distances_are_those_of_an_atlas() {
        // Berlin to Munich, about 504 km; a point to itself; half around.
        assert!((distance_km(52.52, 13.405, 48.137, 11.575) - 504.0).abs() < 2.0);
        assert!(distance_km(10.0, 10.0, 10.0, 10.0).abs() < 1e-9);
        assert!((distance_km(0.0, 0.0, 0.0, 180.0) - 20_015.0).abs() < 1.0);
    }
}
