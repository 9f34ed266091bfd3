//! What the description says of every route, so that no handler has to repeat it: how one says who one is, by the table of
//! `access`, and what a request gets that cannot be read.

use utoipa::{
    Modify,
    openapi::{
        Content, OpenApi, Ref, RefOr, Response, ResponseBuilder,
        path::{Operation, PathItem},
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use crate::access::{COOKIE, Need, need};

const BEARER: &str = "bearer";
const SESSION: &str = "session";

/// Adds the ways to say who one is, and the answers to who may not.
pub(super) struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        let session = "Set by a log-in on the page, where it is worth no more than its token.";
        let session = ApiKey::Cookie(ApiKeyValue::with_description(COOKIE, session));
        components.add_security_scheme(SESSION, SecurityScheme::ApiKey(session));
        for (path, item) in &mut document.paths.paths {
            let PathItem { get, put, post, delete, patch, .. } = item;
            for (method, operation) in
                [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)]
            {
                let Some(operation) = operation else { continue };
                // An address or a query may always be one that makes no sense.
                if operation.parameters.is_some() {
                    answers(operation, "400", "The request makes no sense");
                }
                if !matches!(need(method, path), Some(Need::Nothing)) {
                    guard(operation);
                }
            }
        }
    }
}

fn guard(operation: &mut Operation) {
    let none: [String; 0] = [];
    // Either of them; none on a loopback server for which no token was ever made.
    operation.security = Some(vec![
        SecurityRequirement::new(BEARER, none.clone()),
        SecurityRequirement::new(SESSION, none),
        SecurityRequirement::default(),
    ]);
    answers(operation, "401", "No token, or one that is no good");
    answers(operation, "403", "The token's role does not allow it");
}

/// Adds an answer that the handler does not speak of itself.
fn answers(operation: &mut Operation, status: &str, says: &str) {
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(says)));
}

fn problem(says: &str) -> Response {
    let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
    ResponseBuilder::new().description(says).content("application/problem+json", content).build()
}
