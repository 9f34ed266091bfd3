//! Jinja in the strings of a task's keys: `date={{ ds }}`, `{{ params.scale }}`.
//!
//! A string that is one expression and nothing else keeps the expression's type, so that `"{{ params.limit }}"`
//! can stand where a number is expected. Names that are not defined are errors, in the check as in the run.

mod check;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use minijinja::{Environment, UndefinedBehavior, Value as Jinja, value::ValueKind};
use serde_json::Value;

pub use self::check::{Visible, check, check_condition};
use crate::{cause, kind::DataInterval, yaml::join};

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
    /// `{{ trigger.file }}`: what started the run, from [`crate::cause::of`].
    pub trigger: &'a Value,
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
const NAMES: [&str; 10] =
    ["dag", "task", "run_id", "logical_time", "ds", "interval.start", "interval.end", "params", "trigger", "outputs"];

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

/// Whether a template in `config` may read what started the run; it costs little to ask.
pub fn may_read_trigger(config: &Value) -> bool {
    let mut found = false;
    walk(config, "", &mut |_, text| found |= text.contains("trigger"));
    found
}

/// Whether an item cannot have this name.
pub fn is_taken(name: &str) -> bool {
    name == INDEX
        || NAMES.iter().any(|known| known.split('.').next() == Some(name))
        || environment().globals().any(|(global, _)| global == name)
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
            let detail = detail(&error, names_in_condition(condition), scope.trigger);
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
            let detail = detail(&error, names_in_condition(expression), scope.trigger);
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
    render_value(&environment, &context, scope.trigger, ("", config))
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
        ("trigger", to_jinja(scope.trigger)),
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
    trigger: &Value,
    (path, value): (&str, &Value),
) -> Result<Value, TemplateFault> {
    Ok(match value {
        Value::String(text) if is_template(text) => render_text(environment, context, text).map_err(|error| {
            let detail = detail(&error, names_in(value), trigger);
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
                .map(|(index, item)| render_value(environment, context, trigger, (&format!("{path}[{index}]"), item)))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| {
                    Ok((key.clone(), render_value(environment, context, trigger, (&join(path, key), item))?))
                })
                .collect::<Result<_, _>>()?,
        ),
        other => other.clone(),
    })
}

/// What went wrong. Where a template reads what nothing gave this run, that is it.
fn detail(error: &minijinja::Error, names: Vec<String>, trigger: &Value) -> String {
    if error.kind() == minijinja::ErrorKind::UndefinedError
        && let Some(missing) = names.into_iter().find_map(|name| cause::missing(&name, trigger))
    {
        return missing;
    }
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
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
    use serde_json::{Map, json};

    use super::*;
    use crate::trigger::Trigger;

    fn visible<'a>(params: &'a Map<String, Value>, needs: &'a [String]) -> Visible<'a> {
        Visible { params, needs, item: None, triggers: Some(&[]) }
    }

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
            trigger: &Value::Null,
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
        let faults = check(&config, &visible(params.as_object().expect("a map"), &[]));
        let found: Vec<_> = faults.iter().map(|f| (f.field.as_str(), f.hint.as_deref().unwrap_or(""))).collect();
        assert_eq!(found, [("a", "did you mean `scale`?"), ("b[0]", "did you mean `logical_time`?")]);
        assert_eq!(render(&config, &scope(&params)).expect_err("undefined").field, "a");
    }

    #[test]
    fn a_template_that_does_not_compile_is_placed() {
        let faults = check(&json!({ "sql": "select 1\nwhere {% if %}" }), &visible(&Map::new(), &[]));
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
        assert_eq!(check_condition("outputs.load.loaded > 2 and not params.full", &visible(known, &needs)), []);
        let hint =
            |condition: &str| check_condition(condition, &visible(known, &needs))[0].hint.clone().expect("a hint");
        assert_eq!(hint("outputs.lod.loaded > 2"), "write `needs: [lod]`, so that it has ended before");
        assert_eq!(hint("params.ful"), "did you mean `full`?");
        assert_eq!(hint("{{ params.full }}"), "leave the braces out: `when: params.full`");
    }

    #[test]
    fn what_started_a_run_is_there_for_the_runs_that_it_started() {
        let nothing = json!({});
        let cause = json!([{ "path": "inbox/a.csv", "bytes": 3, "modified": "2026-11-20T23:00:00Z" }]);
        let (by_file, by_hand) = (cause::of("file", Some(&cause)), cause::of("manual", None));
        let file = Scope { trigger: &by_file, ..scope(&nothing) };
        let hand = Scope { trigger: &by_hand, ..scope(&nothing) };
        let config = json!({ "path": "{{ trigger.file }}", "bytes": "{{ trigger.bytes }}" });
        assert_eq!(render(&config, &file), Ok(json!({ "path": "inbox/a.csv", "bytes": 3 })));
        let message = render(&config, &hand).expect_err("nothing gave it").message;
        let says = "the template `{{ trigger.file }}` fails: a run by hand has no `trigger.file`: \
                    `trigger.file | default(…)` is for such a run, and `trigger.kind` says `manual`";
        assert_eq!(message, says);
        let other = json!("{{ trigger.file | default('inbox/all.csv') }}");
        assert_eq!(render(&other, &hand), Ok(json!("inbox/all.csv")));
        assert_eq!(render(&other, &file), Ok(json!("inbox/a.csv")));
        assert_eq!(
            (holds("trigger.kind == 'file'", &file), holds("trigger.kind == 'file'", &hand)),
            (Ok(true), Ok(false))
        );
        let message = holds("trigger.bytes > 2", &hand).expect_err("nothing gave it").message;
        assert!(message.contains("a run by hand has no `trigger.bytes`"), "{message}");

        let request = json!([{ "webhook": "shopify", "key": "k", "body": { "order": { "id": 7 } } }]);
        let by_request = cause::of("webhook", Some(&request));
        let hook = Scope { trigger: &by_request, ..scope(&nothing) };
        assert_eq!(evaluate("trigger.body.order.id", &hook), Ok(json!(7)));
        let message = evaluate("trigger.body.order.number", &hook).expect_err("it is not in the body").message;
        assert_eq!(message, "`trigger.body.order.number` fails: it is not defined");
    }

    #[test]
    fn the_check_knows_what_a_dags_triggers_give() {
        let params = Map::new();
        let hook = [Trigger::Webhook { name: "shopify".to_owned(), param: None }];
        let of = |triggers, name: &str| {
            let visible = Visible { params: &params, needs: &[], item: None, triggers };
            check(&json!(format!("{{{{ {name} }}}}")), &visible).pop().map(|fault| fault.message)
        };
        assert_eq!(of(Some(&hook), "trigger.body.order.id"), None);
        assert_eq!(of(Some(&[]), "trigger.kind"), None);
        assert_eq!(
            of(Some(&hook), "trigger.file").as_deref(),
            Some("`trigger.file` is never there: nothing that starts this DAG gives it")
        );
        assert_eq!(of(Some(&hook), "trigger.bdy").as_deref(), Some("`trigger.bdy` is nothing that a trigger gives"));
        assert_eq!(of(None, "trigger.kind").as_deref(), Some("what started the run is not known where this is made"));
    }
}
