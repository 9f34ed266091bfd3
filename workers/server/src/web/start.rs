//! A run by hand of a DAG that has parameters: a field for each, and what is wrong with one beside it.

use axum::{
    extract::{Path, Query, Request, State as Extract},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use warehouse::runs;
use workflow::plan::{ParamError, Plan};

use super::{
    fields::{self, Fields},
    format::encode,
    layout::{OrPage, Page, Section, WebError},
    parts::{card, icon, sign},
};
use crate::{
    access::By,
    actions::{self, refused},
    api::runs::no_dag,
    error::ApiError,
    state::State,
};

/// Shows the parameters of a run before it is started.
pub(super) async fn page(
    Extract(state): Extract<State>,
    Path(dag): Path<String>,
    Query(fields): Query<Fields>,
) -> Result<Markup, WebError> {
    let plan = plan_of(&state, &dag).await.or_page(&state)?;
    Ok(form(&state, &plan, &fields, &[], None))
}

async fn plan_of(state: &State, dag: &str) -> Result<Plan, ApiError> {
    runs::current_plan(state.pool(), dag).await.map_err(refused)?.ok_or_else(|| no_dag(dag))
}

/// Starts a run and goes to it, or shows the form once more with what is wrong.
pub(super) async fn start(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(dag): Path<String>,
    request: Request,
) -> Result<Response, WebError> {
    let fields: Fields = fields::sent(request).await.or_page(&state)?;
    let plan = plan_of(&state, &dag).await.or_page(&state)?;
    let given = fields::params(&plan, &fields);
    let faults = plan.param_faults(&given);
    if !faults.is_empty() {
        return Ok((StatusCode::BAD_REQUEST, form(&state, &plan, &fields, &faults, None)).into_response());
    }
    let started = match fields::storable(&fields) {
        Ok(()) => actions::trigger(state.pool(), &actor, &dag, None, given).await,
        Err(error) => Err(error),
    };
    match started {
        Ok(run_id) => Ok(Redirect::to(&format!("/runs/{run_id}")).into_response()),
        Err(error @ (ApiError::BadRequest(_) | ApiError::Conflict(_))) if !plan.params.is_empty() => {
            Ok((error.status(), form(&state, &plan, &fields, &[], Some(&error))).into_response())
        }
        Err(error) => Err(error).or_page(&state),
    }
}

fn form(state: &State, plan: &Plan, fields: &Fields, faults: &[ParamError], error: Option<&ApiError>) -> Markup {
    let of = |name: &str| faults.iter().find(|fault| fault.name() == name).map(ToString::to_string);
    // The DAG was deployed anew since the form was made.
    let elsewhere = faults.iter().filter(|fault| !plan.params.contains_key(fault.name())).map(ToString::to_string);
    let notices: Vec<String> = elsewhere.chain(error.map(ToString::to_string)).collect();
    let aside = html! { "version " code { (plan.version.chars().take(8).collect::<String>()) } };
    let body = html! {
        @for notice in &notices { div.notice.bad role="alert" { (sign("failed")) div.grow { p { (notice) } } } }
        (card("Parameters", aside, html! {
            form.fields method="post" action={ "/dags/" (encode(&plan.dag)) "/trigger" } {
                @for field in fields::of(plan, fields) { (field.line(of(field.name()).as_deref())) }
                @if plan.params.is_empty() { p.sub { "This DAG has none." } }
                div { button.button.primary type="submit" { (icon("runs")) "Run now" } }
            }
        }))
    };
    let lead = html! { "A run of DAG " a href={ "/dags/" (encode(&plan.dag)) } { (plan.dag) } ", by hand. What is set here is what templates read as " code { "params" } "." };
    Page { lead, body, ..Page::new(Section::Dags, format!("Run {}", plan.dag)) }.render(state)
}
