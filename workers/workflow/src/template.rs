//! Jinja in the strings of a task's keys: `date={{ ds }}`, `{{ params.scale }}`.
//!
//! A string that is one expression and nothing else keeps the expression's type, so that `"{{ params.limit }}"`
//! can stand where a number is expected. Names that are not defined are errors, in the check as in the run.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use minijinja::{Environment, UndefinedBehavior, Value as Jinja, value::ValueKind};
use serde_json::{Map, Value};

use crate::{diagnostic::did_you_mean, kind::DataInterval, yaml::join};

/// What templates can say about a run.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// `{{ dag }}`.
    pub dag: &'a str,
    /// `{{ task }}`.
    pub task: &'a str,
    /// `{{ run_id }}`.
    pub run_id: i64,
    /// `{{ logical_time }}`, as RFC 3339 in UTC; `{{ ds }}` is its local date.
    pub logical_time: DateTime<Utc>,
    /// `{{ interval.start }}` and `{{ interval.end }}`, as RFC 3339 in UTC.
    pub interval: DataInterval,
    /// Where `{{ ds }}` is read.
    pub timezone: Tz,
    /// `{{ params.x }}`.
    pub params: &'a Value,
    /// `{{ outputs.load.loaded }}`: what the tasks that this one needs have left.
    pub outputs: &'a BTreeMap<String, Value>,
    /// `{{ item }}`, under the name that the task gives it, and its place, `{{ index }}`, where the task is mapped.
    pub item: Option<Item<'a>>,
}

/// An item of the list that a task is mapped over.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// What templates call it.
    pub name: &'a str,
    /// Its place in the list, from 0.
    pub place: usize,
    /// The item itself.
    pub value: &'a Value,
}

/// What templates call an item's place.
const INDEX: &str = "index";

/// The names that every template may use.
const NAMES: [&str; 9] =
    ["dag", "task", "run_id", "logical_time", "ds", "interval.start", "interval.end", "params", "outputs"];

/// A template that does not compile, names what is not there, or fails on its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// Path of the string below the task: `command[1]`.
    pub field: String,
    /// Lines below the string's first one.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whether a string holds anything for Jinja to do.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether an item cannot have this name.
pub fn is_taken(name: &str) -> bool {
    name == INDEX
        || NAMES.iter().any(|known| known.split('.').next() == Some(name))
        || environment().globals().any(|(global, _)| global == name)
}

/// All that is wrong with the templates in `config` of a task with these `needs`, without rendering any. `item` is what
/// they call an item of the list that the task is mapped over.
pub fn check(config: &Value, params: &Map<String, Value>, needs: &[String], item: Option<&str>) -> Vec<TemplateFault> {
    let environment = environment();
    let mut faults = Vec::new();
    let visible = Visible { params, needs, item };
    walk(config, "", &mut |field, text| check_text(&environment, field, text, &visible, &mut faults));
    faults
}

/// All that is wrong with a condition, which is one expression without braces.
pub fn check_condition(condition: &str, params: &Map<String, Value>, needs: &[String]) -> Vec<TemplateFault> {
    let mut faults = Vec::new();
    if is_template(condition) {
        let hint = Some("leave the braces out: `when: params.full`".to_owned());
        faults.push(TemplateFault {
            field: String::new(),
            line: 0,
            message: "a condition is an expression".into(),
            hint,
        });
    } else {
        let visible = Visible { params, needs, item: None };
        check_text(&environment(), "", &format!("{{{{ {condition} }}}}"), &visible, &mut faults);
    }
    faults
}

/// What the templates in `config` refer to: `params.scale`, `ds`.
pub fn names_in(config: &Value) -> Vec<String> {
    let environment = environment();
    let mut names = Vec::new();
    walk(config, "", &mut |_, text| {
        if let Ok(template) = environment.template_from_str(text) {
            names.extend(template.undeclared_variables(true));
        }
    });
    names
}

/// What a condition refers to.
pub fn names_in_condition(condition: &str) -> Vec<String> {
    names_in(&Value::String(format!("{{{{ {condition} }}}}")))
}

/// Whether a condition refers to nothing and does not hold.
pub fn is_never(condition: &str) -> bool {
    let never = || environment().compile_expression(condition).ok()?.eval(()).ok().map(|value| !value.is_true());
    names_in_condition(condition).is_empty() && never() == Some(true)
}

/// Whether a condition holds, by Jinja's truth: nothing, zero and what is empty do not.
pub fn holds(condition: &str, scope: &Scope<'_>) -> Result<bool, TemplateFault> {
    let environment = environment();
    environment
        .compile_expression(condition)
        .and_then(|expression| expression.eval(context(scope)))
        .map(|value| value.is_true())
        .map_err(|error| {
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            TemplateFault {
                field: "when".to_owned(),
                line: 0,
                message: format!("the condition `{condition}` fails: {detail}"),
                hint: None,
            }
        })
}

/// What an expression without braces comes to.
pub fn evaluate(expression: &str, scope: &Scope<'_>) -> Result<Value, TemplateFault> {
    let environment = environment();
    environment
        .compile_expression(expression)
        .and_then(|compiled| compiled.eval(context(scope)))
        .and_then(|value| {
            if value.is_undefined() {
                return Err(minijinja::Error::new(minijinja::ErrorKind::UndefinedError, "it is not defined"));
            }
            to_json(&value)
        })
        .map_err(|error| {
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            let message = format!("`{expression}` fails: {detail}");
            TemplateFault { field: String::new(), line: 0, message, hint: None }
        })
}

/// `config` with every template in it rendered; the first fault where one fails.
pub fn render(config: &Value, scope: &Scope<'_>) -> Result<Value, TemplateFault> {
    let mut any = false;
    walk(config, "", &mut |_, _| any = true);
    if !any {
        return Ok(config.clone());
    }
    let environment = environment();
    let context = context(scope);
    render_value(&environment, &context, "", config)
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
}

fn walk<'a>(value: &'a Value, path: &str, visit: &mut impl FnMut(&str, &'a str)) {
    match value {
        Value::String(text) if is_template(text) => visit(path, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{path}[{index}]"), visit);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                walk(item, &join(path, key), visit);
            }
        }
        _ => {}
    }
}

/// What a template may refer to.
struct Visible<'a> {
    params: &'a Map<String, Value>,
    needs: &'a [String],
    item: Option<&'a str>,
}

fn check_text(
    environment: &Environment<'_>,
    field: &str,
    text: &str,
    visible: &Visible<'_>,
    faults: &mut Vec<TemplateFault>,
) {
    let template = match environment.template_from_named_str(field, text) {
        Ok(template) => template,
        Err(error) => {
            let line = error.line().unwrap_or(1).saturating_sub(1);
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            let message = format!("the template does not compile: {detail}");
            faults.push(TemplateFault { field: field.to_owned(), line, message, hint: None });
            return;
        }
    };
    let mut used: Vec<_> = template.undeclared_variables(true).into_iter().collect();
    used.sort();
    let Visible { params, needs, item } = *visible;
    for name in used {
        let root = name.split('.').next().unwrap_or(&name);
        if item.is_some_and(|item| root == item || root == INDEX) {
            continue;
        }
        let (message, hint) = if let Some(param) = name.strip_prefix("params.") {
            let param = param.split('.').next().unwrap_or(param);
            if params.contains_key(param) {
                continue;
            }
            (format!("`params.{param}` is not a parameter of this DAG"), param_hint(param, params))
        } else if let Some(task) = name.strip_prefix("outputs.") {
            let task = task.split('.').next().unwrap_or(task);
            if needs.iter().any(|need| need == task) {
                continue;
            }
            let hint = format!("write `needs: [{task}]`, so that it has ended before");
            (format!("`outputs.{task}` is not the output of a task that this one needs"), hint)
        } else if NAMES.contains(&name.as_str())
            || NAMES.contains(&root)
            || name == "interval"
            || environment.globals().any(|(global, _)| global == root)
        {
            continue;
        } else {
            let hint = match item {
                Some(item) => format!("an item is `{item}` here, by the task's `for_each`"),
                None if root == "item" => {
                    "the keys of a kind know it, where the task says `for_each: { over: … }`".to_owned()
                }
                None => did_you_mean(&name, NAMES),
            };
            (format!("`{name}` is not defined in a task's templates"), hint)
        };
        faults.push(TemplateFault { field: field.to_owned(), line: 0, message, hint: Some(hint) });
    }
}

fn param_hint(param: &str, params: &Map<String, Value>) -> String {
    if params.is_empty() {
        return format!("give it a default: `params: {{ {param}: … }}`");
    }
    did_you_mean(param, params.keys().map(String::as_str))
}

fn context(scope: &Scope<'_>) -> Jinja {
    let time = |t: DateTime<Utc>| Jinja::from(t.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
    let interval = Jinja::from_pairs([("start", time(scope.interval.start)), ("end", time(scope.interval.end))]);
    let mut pairs = vec![
        ("dag", Jinja::from(scope.dag)),
        ("task", Jinja::from(scope.task)),
        ("run_id", Jinja::from(scope.run_id)),
        ("logical_time", time(scope.logical_time)),
        ("ds", Jinja::from(scope.logical_time.with_timezone(&scope.timezone).date_naive().to_string())),
        ("interval", interval),
        ("params", to_jinja(scope.params)),
        ("outputs", Jinja::from_pairs(scope.outputs.iter().map(|(task, value)| (task.as_str(), to_jinja(value))))),
    ];
    if let Some(item) = scope.item {
        pairs.extend([(item.name, to_jinja(item.value)), (INDEX, Jinja::from(item.place))]);
    }
    Jinja::from_pairs(pairs)
}

fn render_value(
    environment: &Environment<'_>,
    context: &Jinja,
    path: &str,
    value: &Value,
) -> Result<Value, TemplateFault> {
    Ok(match value {
        Value::String(text) if is_template(text) => render_text(environment, context, text).map_err(|error| {
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            TemplateFault {
                field: path.to_owned(),
                line: error.line().unwrap_or(1).saturating_sub(1),
                message: format!("the template `{}` fails: {detail}", text.trim()),
                hint: None,
            }
        })?,
        Value::Array(items) => Value::Array(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| render_value(environment, context, &format!("{path}[{index}]"), item))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| Ok((key.clone(), render_value(environment, context, &join(path, key), item)?)))
                .collect::<Result<_, _>>()?,
        ),
        other => other.clone(),
    })
}

fn render_text(environment: &Environment<'_>, context: &Jinja, text: &str) -> Result<Value, minijinja::Error> {
    if let Some(expression) = only_expression(text) {
        let value = environment.compile_expression(expression)?.eval(context)?;
        if value.is_undefined() {
            return Err(minijinja::Error::new(
                minijinja::ErrorKind::UndefinedError,
                format!("`{expression}` is not defined"),
            ));
        }
        return to_json(&value);
    }
    environment.render_str(text, context).map(Value::String)
}

/// The expression of a text that is nothing else.
fn only_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!is_template(inner) && !inner.contains("}}")).then_some(inner.trim_matches(['-', '+']).trim())
}

fn to_jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(value) => Jinja::from(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Jinja::from(integer),
            (None, Some(float)) => Jinja::from(float),
            (None, None) => Jinja::from(number.to_string()),
        },
        Value::String(text) => Jinja::from(text.as_str()),
        Value::Array(items) => items.iter().map(to_jinja).collect(),
        Value::Object(map) => Jinja::from_pairs(map.iter().map(|(key, item)| (key.as_str(), to_jinja(item)))),
    }
}

fn to_json(value: &Jinja) -> Result<Value, minijinja::Error> {
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => {
            let text = value.to_string();
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            Value::Array(value.try_iter()?.map(|item| to_json(&item)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => Value::Object(
            value
                .try_iter()?
                .map(|key| Ok((key.to_string(), to_json(&value.get_item(&key)?)?)))
                .collect::<Result<_, minijinja::Error>>()?,
        ),
        _ => Value::String(value.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static NOTHING: BTreeMap<String, Value> = BTreeMap::new();

    fn scope(params: &Value) -> Scope<'_> {
        let logical_time: DateTime<Utc> = "2026-11-20T23:30:00Z".parse().expect("a time");
        Scope {
            dag: "daily",
            task: "load",
            run_id: 7,
            logical_time,
            interval: crate::schedule::day_before(logical_time),
            timezone: Tz::Europe__Berlin,
            params,
            outputs: &NOTHING,
            item: None,
        }
    }

    #[test]
    fn strings_are_rendered_and_single_expressions_keep_their_type() {
        let params = json!({ "scale": 2, "cities": ["Berlin", "Ulm"], "dry": false });
        let config = json!({
            "path": "raw/date={{ ds }}/run-{{ run_id }}",
            "scale": "{{ params.scale * 3 }}",
            "cities": "{{ params.cities }}",
            "dry": "{{ params.dry }}",
            "from": ["{{ interval.start }}"],
            "plain": "100 %",
        });
        let rendered = render(&config, &scope(&params)).expect("renders");
        assert_eq!(
            rendered,
            json!({
                "path": "raw/date=2026-11-21/run-7",
                "scale": 6,
                "cities": ["Berlin", "Ulm"],
                "dry": false,
                "from": ["2026-11-19T23:30:00Z"],
                "plain": "100 %",
            })
        );
    }

    #[test]
    fn unknown_names_fail_in_the_check_and_in_the_run() {
        let params = json!({ "scale": 2 });
        let config = json!({ "a": "{{ params.scal }}", "b": ["x {{ logical_tim }}"], "c": "{{ range(3) }}{{ ds }}" });
        let faults = check(&config, params.as_object().expect("a map"), &[], None);
        let found: Vec<_> = faults.iter().map(|f| (f.field.as_str(), f.hint.as_deref().unwrap_or(""))).collect();
        assert_eq!(found, [("a", "did you mean `scale`?"), ("b[0]", "did you mean `logical_time`?")]);
        assert_eq!(render(&config, &scope(&params)).expect_err("undefined").field, "a");
    }

    #[test]
    fn a_template_that_does_not_compile_is_placed() {
        let faults = check(&json!({ "sql": "select 1\nwhere {% if %}" }), &Map::new(), &[], None);
        assert_eq!((faults[0].field.as_str(), faults[0].line), ("sql", 1));
        assert!(faults[0].message.starts_with("the template does not compile: "), "{}", faults[0].message);
    }

    #[test]
    fn a_condition_sees_parameters_and_the_outputs_of_what_is_needed() {
        let params = json!({ "full": false });
        let outputs = BTreeMap::from([("load".to_owned(), json!({ "loaded": 3 }))]);
        let scope = Scope { outputs: &outputs, ..scope(&params) };
        assert_eq!(holds("outputs.load.loaded > 2 and not params.full", &scope), Ok(true));
        assert_eq!(holds("params.full", &scope), Ok(false));
        let message = holds("outputs.load.rows > 2", &scope).expect_err("undefined").message;
        assert!(message.starts_with("the condition `outputs.load.rows > 2` fails: "), "{message}");

        let (known, needs) = (params.as_object().expect("a map"), ["load".to_owned()]);
        assert_eq!(check_condition("outputs.load.loaded > 2 and not params.full", known, &needs), []);
        let hint = |condition: &str| check_condition(condition, known, &needs)[0].hint.clone().expect("a hint");
        assert_eq!(hint("outputs.lod.loaded > 2"), "write `needs: [lod]`, so that it has ended before");
        assert_eq!(hint("params.ful"), "did you mean `full`?");
        assert_eq!(hint("{{ params.full }}"), "leave the braces out: `when: params.full`");
    }
}
