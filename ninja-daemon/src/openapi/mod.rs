//! The API as an OpenAPI 3.1 document, made of the table of routes and of what [`operations`] says of each.
//!
//! Paths, methods and who may come are taken from the table, shapes from the vocabulary itself, so neither can differ from what
//! is served. What a route is for, takes and answers is said once, in [`operations`]; a test finds routes without it.

mod operation;
mod operations;

use std::collections::BTreeMap;

use ninja_core::api::{Access, ApiKeyId, ApprovalId, SessionId, TaskId, UserId};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ComponentsBuilder, ContactBuilder, Content, HttpMethod, Info, InfoBuilder, LicenseBuilder, OpenApi,
        OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr, Required, ResponseBuilder, Schema,
        path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        schema::{AdditionalProperties, Object, ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

use self::operation::Operation;
use crate::{error::Problem, routes::Route};

/// The name of the one way to say who asks.
const BEARER: &str = "bearer";

/// Returns the document of a table of routes.
pub(crate) fn document(table: &[Route]) -> OpenApi {
    let mut said: BTreeMap<&str, Operation> = operations::all().into_iter().map(|one| (one.verb, one)).collect();
    let mut components = ComponentsBuilder::new().schema(Problem::name(), Problem::schema());
    let mut nested = Vec::new();
    Problem::schemas(&mut nested);
    let mut paths = PathsBuilder::new();
    for route in table {
        let Some(mut operation) = said.remove(route.verb) else { continue };
        nested.append(&mut operation.schemas);
        // OpenAPI has no word for the rest of a path: it is one parameter, whose slashes clients escape or not.
        let path = route.path.replace("{*", "{");
        let Some(method) = method(route) else { continue };
        paths = paths.path(path, PathItem::new(method, describe(route, operation)));
    }
    for (name, mut schema) in nested {
        if operations::STRICT.contains(&name.as_str()) {
            close(&mut schema);
        }
        components = components.schema(name, schema);
    }
    OpenApiBuilder::new()
        .info(info())
        .paths(paths)
        .components(Some(with_security(components)))
        .tags(Some(operations::TAGS.map(|(tag, says)| TagBuilder::new().name(tag).description(Some(says)).build())))
        .build()
}

/// Says of each alternative with fields of its own that it has no others: `serde(deny_unknown_fields)`, which the derive passes over
/// at enums.
fn close(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(one_of)) = schema else { return };
    for item in &mut one_of.items {
        if let RefOr::T(Schema::Object(object)) = item
            && !is_tag_alone(object)
        {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// One that is nothing but its name is read without a look at what else is there.
fn is_tag_alone(object: &Object) -> bool {
    let is_tag =
        |field: &RefOr<Schema>| matches!(field, RefOr::T(Schema::Object(field)) if field.enum_values.is_some());
    object.properties.len() == 1 && object.properties.values().all(is_tag)
}

fn info() -> Info {
    InfoBuilder::new()
        .title("Ninja")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(operations::ABOUT))
        .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build()))
        .contact(Some(ContactBuilder::new().url(Some(env!("CARGO_PKG_REPOSITORY"))).build()))
        .build()
}

fn with_security(components: ComponentsBuilder) -> Components {
    let says = "An API key (`nj_…`) of `POST /api/v1/auth/api-keys`, or an access token of `POST /api/v1/auth/login`. The \
                scope behind a route is the one that it asks of an API key.";
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(says)).build();
    components.security_scheme(BEARER, SecurityScheme::Http(bearer)).build()
}

fn method(route: &Route) -> Option<HttpMethod> {
    match route.method.as_str() {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        "PATCH" => Some(HttpMethod::Patch),
        "DELETE" => Some(HttpMethod::Delete),
        _ => None,
    }
}

fn describe(route: &Route, said: Operation) -> utoipa::openapi::path::Operation {
    let takes_body = said.body.is_some();
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.verb))
        .tag(said.tag)
        .summary(Some(said.summary))
        .description(said.description)
        .request_body(said.body);
    let in_path = path_parameters(route.path);
    let has_path = !in_path.is_empty();
    for parameter in in_path.into_iter().chain(said.parameters) {
        operation = operation.parameter(parameter);
    }
    for (status, response) in said.responses {
        operation = operation.response(status.to_string(), response);
    }
    for (status, says) in refusals(route.access, takes_body, has_path) {
        operation = operation.response(status, problem(says));
    }
    match route.access {
        // Said by name: what is open has no requirement, rather than the document's.
        Access::Public => operation = operation.securities(Some([])),
        Access::User(scope) | Access::Admin(scope) => {
            operation = operation.security(SecurityRequirement::new(BEARER, [scope.as_str()]));
        }
    }
    operation.build()
}

/// Returns how a route refuses, by status.
fn refusals(access: Access, takes_body: bool, has_path: bool) -> Vec<(&'static str, &'static str)> {
    let mut refusals = vec![
        ("400", "The request could not be read."),
        ("429", "Too many requests, or a quota is used up; `Retry-After` says when to try again, where that is known."),
        ("default", "Any other problem; its `code` says which."),
    ];
    if takes_body {
        refusals.push(("413", "The body is larger than this route takes."));
        refusals.push(("415", "The body is of a type that this route does not take."));
        refusals.push(("422", "The request was read, but what it asks for cannot be done as it stands."));
    }
    if has_path {
        refusals.push(("404", "There is no such thing, or it is somebody else's."));
    }
    match access {
        Access::Public => {}
        Access::User(_) => {
            refusals.push(("401", "No valid credential came with the request."));
            refusals.push(("403", "The credential lacks the scope."));
        }
        Access::Admin(_) => {
            refusals.push(("401", "No valid credential came with the request."));
            refusals.push(("403", "The account is no administrator's, or the credential lacks the scope."));
        }
    }
    refusals
}

fn problem(says: &str) -> ResponseBuilder {
    let body = Content::new(Some(Ref::from_schema_name(Problem::name())));
    ResponseBuilder::new().description(says).content("application/problem+json", body)
}

/// Returns the parameters in a path, each with the shape of what it names.
fn path_parameters(path: &str) -> Vec<Parameter> {
    let segments: Vec<&str> = path.split('/').collect();
    let mut parameters = Vec::new();
    for (position, segment) in segments.iter().enumerate() {
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { continue };
        let before = position.checked_sub(1).and_then(|before| segments.get(before)).copied().unwrap_or_default();
        let schema = shape_of(name, before);
        let parameter = ParameterBuilder::new()
            .name(name.trim_start_matches('*'))
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(schema));
        parameters.push(parameter.build());
    }
    parameters
}

fn shape_of(name: &str, before: &str) -> RefOr<Schema> {
    match (name, before) {
        ("id", "tasks") | ("other", _) => TaskId::schema(),
        ("id", "users") | ("user_id", _) => UserId::schema(),
        ("id", "api-keys") => ApiKeyId::schema(),
        ("id", "sessions") => SessionId::schema(),
        ("approval_id", _) => ApprovalId::schema(),
        _ => ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::routes::table;

    #[test]
    fn every_route_says_what_it_takes_and_answers() {
        let (table, said) = (table(), operations::all());
        let verbs: BTreeSet<&str> = table.iter().map(|route| route.verb).collect();
        assert_eq!(verbs.len(), table.len(), "each has a verb of its own");
        assert_eq!(said.iter().map(|one| one.verb).collect::<BTreeSet<_>>(), verbs);
        assert_eq!(said.len(), table.len(), "each is said once");
    }

    #[test]
    fn every_shape_that_is_spoken_of_is_there() {
        let document = serde_json::to_value(document(&table())).unwrap();
        let (mut open, mut missing) = (vec![&document], BTreeSet::new());
        while let Some(value) = open.pop() {
            if let Some(reference) = value.get("$ref").and_then(|reference| reference.as_str())
                && document.pointer(reference.trim_start_matches('#')).is_none()
            {
                missing.insert(reference);
            }
            match value {
                serde_json::Value::Array(items) => open.extend(items),
                serde_json::Value::Object(fields) => open.extend(fields.values()),
                _ => {}
            }
        }
        assert_eq!(missing, BTreeSet::new());
    }

    #[test]
    fn a_path_says_what_its_parts_are() {
        let named: Vec<(String, bool)> = path_parameters("/api/v1/tasks/{id}/artifacts/{*path}")
            .into_iter()
            .map(|parameter| {
                let text = serde_json::to_string(&parameter).unwrap();
                (parameter.name, text.contains("^task_"))
            })
            .collect();
        assert_eq!(named, [("id".to_owned(), true), ("path".to_owned(), false)]);
    }
}
