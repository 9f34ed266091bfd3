//! What is wrong with templates before any is rendered: names that are never there.

use minijinja::Environment;
use serde_json::{Map, Value};

use super::{INDEX, NAMES, TemplateFault, environment, is_template, walk};
use crate::{cause::GIVEN, diagnostic::did_you_mean, trigger::Trigger};

/// What a template may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Visible<'a> {
    /// The DAG's parameters.
    pub params: &'a Map<String, Value>,
    /// The tasks that its task needs.
    pub needs: &'a [String],
    /// What it calls an item of the list that its task is mapped over.
    pub item: Option<&'a str>,
    /// What starts the DAG; `None` where that is not known yet.
    pub triggers: Option<&'a [Trigger]>,
}

/// All that is wrong with the templates in `config`, without rendering any.
pub fn check(config: &Value, visible: &Visible<'_>) -> Vec<TemplateFault> {
    let environment = environment();
    let mut faults = Vec::new();
    walk(config, "", &mut |field, text| check_text(&environment, field, text, visible, &mut faults));
    faults
}

/// All that is wrong with a condition, which is one expression without braces and knows no item.
pub fn check_condition(condition: &str, visible: &Visible<'_>) -> Vec<TemplateFault> {
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
        let visible = Visible { item: None, ..*visible };
        check_text(&environment(), "", &format!("{{{{ {condition} }}}}"), &visible, &mut faults);
    }
    faults
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
    let Visible { params, needs, item, triggers } = *visible;
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
        } else if root == "trigger" {
            let Some(fault) = trigger_fault(&name, triggers) else { continue };
            fault
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

/// What is wrong with `trigger.file`: nothing where an entry of the DAG's `triggers:` gives it.
fn trigger_fault(name: &str, triggers: Option<&[Trigger]>) -> Option<(String, String)> {
    let Some(triggers) = triggers else {
        let hint = "`as: NAME` of a trigger makes it a parameter, which is known by then".to_owned();
        return Some(("what started the run is not known where this is made".to_owned(), hint));
    };
    let key = name.split('.').nth(1)?;
    let given = triggers.iter().flat_map(|trigger| GIVEN.iter().filter(|given| given.kind == trigger.sources().kind));
    if key == "kind" || given.clone().any(|given| given.keys.contains(&key)) {
        return None;
    }
    if let Some(of) = GIVEN.iter().find(|given| given.keys.contains(&key)) {
        let message = format!("`trigger.{key}` is never there: nothing that starts this DAG gives it");
        return Some((message, format!("`triggers: [{{ {} }}]` does", of.example)));
    }
    let known = given.flat_map(|given| given.keys).copied().chain(["kind"]);
    Some((format!("`trigger.{key}` is nothing that a trigger gives"), did_you_mean(key, known)))
}
