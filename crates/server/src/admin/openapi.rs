//! The description of the admin API, as `OpenAPI` 3.1.

use super::{
    answers::Refusal,
    endpoint::{Answer, BASE, Endpoint, Place},
};
use axum::http::Method;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Describes `endpoints`.
pub(super) fn description(endpoints: &[Endpoint]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let refusal = json!({"description": "The request was refused.", "content": json_content(&json!(generator.subschema_for::<Refusal>()))});
    let mut paths = Map::new();
    for endpoint in endpoints {
        let operation = operation(endpoint, &mut generator);
        let path = paths.entry(format!("{BASE}{}", endpoint.path)).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(endpoint.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mcp-server-git admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "State and control of a running server: on its Unix socket, and over HTTP if `admin.http` is set or with a \
                            ticket of `mcp-server-git dashboard`.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {"Refused": refusal},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    })
}

fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let (place, fields) = endpoint.parameters;
    let parameters = json!(fields(generator));
    let has_fields = parameters["properties"].as_object().is_some_and(|fields| !fields.is_empty());
    let content = match endpoint.answer {
        Answer::Json(schema) => json_content(&json!(schema(generator))),
        Answer::Other(kind) => json!({kind: {"schema": {"type": "string"}}}),
    };
    let mut operation = json!({
        "operationId": id(&endpoint.method, endpoint.path),
        "summary": endpoint.about,
        "responses": {
            "200": {"description": "Done.", "content": content},
            "default": {"$ref": "#/components/responses/Refused"},
        },
    });
    if has_fields && place == Place::Body {
        operation["requestBody"] = json!({"content": json_content(&parameters)});
    } else if has_fields {
        operation["parameters"] = listed(place, &parameters);
    }
    operation
}

/// The parameters of a path or query, one for each field.
fn listed(place: Place, parameters: &Value) -> Value {
    let is_path = place == Place::Path;
    let needed = |name: &str| parameters["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let one = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let about = schema.as_object_mut().and_then(|fields| fields.remove("description"));
        let mut parameter =
            json!({"name": name, "in": if is_path { "path" } else { "query" }, "required": is_path || needed(name), "schema": schema});
        if let Some(about) = about {
            parameter["description"] = about;
        }
        parameter
    };
    parameters["properties"].as_object().into_iter().flatten().map(one).collect()
}

fn json_content(schema: &Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

/// `get_sessions_id` for `GET /sessions/{id}`.
fn id(method: &Method, path: &str) -> String {
    let words = path.split(['/', '{', '}']).filter(|word| !word.is_empty());
    std::iter::once(method.as_str().to_ascii_lowercase()).chain(words.map(str::to_owned)).collect::<Vec<_>>().join("_")
}
