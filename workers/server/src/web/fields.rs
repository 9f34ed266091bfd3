//! Fields of forms: what was sent of them, and one for each parameter of a DAG.

use std::collections::BTreeMap;

use axum::{
    Form,
    extract::{FromRequest, Request},
    http::header,
};
use maud::{Markup, html};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use workflow::plan::{Param, ParamType, Plan};

use crate::error::ApiError;

/// The fields of a form, as they were sent.
pub(super) type Fields = BTreeMap<String, String>;

/// What the name of a parameter's field begins with.
const PARAM: &str = "param.";

/// What a form says; a button by itself sends none.
pub(super) async fn sent<T: Default + DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    if !request.headers().contains_key(header::CONTENT_TYPE) {
        return Ok(T::default());
    }
    let read = Form::from_request(request, &()).await;
    read.map(|Form(fields)| fields).map_err(|refused| ApiError::BadRequest(refused.body_text()))
}

/// Refuses what Postgres cannot keep.
pub(super) fn storable(fields: &Fields) -> Result<(), ApiError> {
    if fields.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(ApiError::BadRequest("a field holds a NUL".to_owned()));
    }
    Ok(())
}

/// The parameters that the fields give. One that was left empty is not given, unless it is a text with a default: the
/// form showed that one, and someone removed it.
pub(super) fn params(plan: &Plan, fields: &Fields) -> Map<String, Value> {
    let given = fields.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(PARAM)?;
        let may_be_empty = matches!(plan.params.get(name), Some(Value::String(_)))
            && plan.declared.get(name).is_none_or(|declared| declared.of == ParamType::Text);
        // Browsers end lines as letters did.
        (may_be_empty || !value.is_empty()).then(|| (name.to_owned(), Value::from(value.replace("\r\n", "\n"))))
    });
    given.collect()
}

/// A parameter's field.
pub(super) struct ParamField<'a> {
    name: &'a str,
    default: &'a Value,
    declared: Option<&'a Param>,
    /// What was sent, or else the default.
    value: String,
}

/// A field for each parameter of a DAG, with what was sent or its default.
pub(super) fn of<'a>(plan: &'a Plan, fields: &'a Fields) -> impl Iterator<Item = ParamField<'a>> {
    plan.params.iter().map(|(name, default)| ParamField {
        name,
        default,
        declared: plan.declared.get(name),
        value: fields.get(&format!("{PARAM}{name}")).cloned().unwrap_or_else(|| text(default)),
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl ParamField<'_> {
    pub(super) fn name(&self) -> &str {
        self.name
    }

    /// What people are to know of it.
    pub(super) fn description(&self) -> Option<&str> {
        self.declared.and_then(|declared| declared.description.as_deref())
    }

    fn required(&self) -> bool {
        self.declared.is_some_and(|declared| declared.required)
    }

    /// What it may be, in words; nothing where the choice is in sight.
    fn expected(&self) -> Option<String> {
        let of = self.of()?;
        match (self.declared, of) {
            (Some(declared), _) if !declared.choices.is_empty() => None,
            (_, ParamType::List | ParamType::Mapping) => Some(format!("{of}, as JSON")),
            (Some(declared), _) => Some(declared.expected()),
            (None, _) => Some(of.to_string()),
        }
    }

    /// The declared type, or that of the default; `None` for anything at all.
    fn of(&self) -> Option<ParamType> {
        self.declared.map(|declared| declared.of).or(match self.default {
            Value::Null => None,
            Value::Bool(_) => Some(ParamType::Boolean),
            Value::Number(_) => Some(ParamType::Number),
            Value::String(_) => Some(ParamType::Text),
            Value::Array(_) => Some(ParamType::List),
            Value::Object(_) => Some(ParamType::Mapping),
        })
    }

    /// The control by itself. `note` is the id of what is said about it, `wrong` whether that is a fault.
    pub(super) fn control(&self, note: Option<&str>, wrong: bool) -> Markup {
        let (name, value) = (format!("{PARAM}{}", self.name), self.value.as_str());
        let (required, wrong) = (self.required(), wrong.then_some("true"));
        let bounds = |of: fn(&Param) -> &Option<serde_json::Number>| {
            self.declared.and_then(|declared| of(declared).as_ref()).map(ToString::to_string)
        };
        let choices: Vec<String> = match self.declared {
            Some(declared) if !declared.choices.is_empty() => declared.choices.iter().map(text).collect(),
            _ if self.of() == Some(ParamType::Boolean) => vec!["true".to_owned(), "false".to_owned()],
            _ => Vec::new(),
        };
        if !choices.is_empty() {
            return html! {
                select id=(name) name=(name) required[required] aria-describedby=[note] aria-invalid=[wrong] {
                    @if required { option value="" { "Choose…" } }
                    // What was sent and is none of them stays in sight.
                    @if !value.is_empty() && !choices.iter().any(|choice| choice == value) { option value=(value) selected { (value) } }
                    @for choice in &choices { option value=(choice) selected[choice == value] { (choice) } }
                }
            };
        }
        let (kind, step) = match self.of() {
            Some(ParamType::Date) => ("date", None),
            Some(ParamType::Integer) => ("number", Some("1")),
            Some(ParamType::Number) => ("number", Some("any")),
            Some(ParamType::List | ParamType::Mapping) => return self.area(&name, note, wrong),
            _ if value.contains('\n') => return self.area(&name, note, wrong),
            _ => ("text", None),
        };
        html! {
            input id=(name) type=(kind) name=(name) value=(value) step=[step] min=[bounds(|param| &param.min)]
                max=[bounds(|param| &param.max)] required[required] aria-describedby=[note] aria-invalid=[wrong];
        }
    }

    fn area(&self, name: &str, note: Option<&str>, wrong: Option<&str>) -> Markup {
        html! {
            textarea id=(name) name=(name) rows="3" spellcheck="false" required[self.required()] aria-describedby=[note] aria-invalid=[wrong] {
                // The parser of HTML takes the first line break for its own.
                "\n" (self.value)
            }
        }
    }

    /// The control with its name, what it may be, and what is wrong with what was sent.
    pub(super) fn line(&self, fault: Option<&str>) -> Markup {
        let id = format!("{PARAM}{}.note", self.name);
        html! {
            div.field {
                label for={ (PARAM) (self.name) } { code { (self.name) } @if self.required() { span.sub { " required" } } }
                (self.control(Some(&id), fault.is_some()))
                div #(id) {
                    @if let Some(fault) = fault { p.bad-text role="alert" { (fault) } }
                    @if let Some(text) = self.description() { p { (text) } }
                    // A fault says it, too.
                    @if let (None, Some(expected)) = (fault, self.expected()) { p.sub { (expected) } }
                }
            }
        }
    }
}
