//! The document of the API against the API.

use std::collections::BTreeSet;

use axum::Router;

use super::*;
use crate::events::Event;
use crate::server::endpoints::{self, App};

fn router() -> Router {
    let (_, stopping) = watch::channel(false);
    endpoints::health(App::new(with_inlet(service()), metrics(), &config(), stopping))
}

async fn document() -> Value {
    let server = start(config(), service(), metrics()).await;
    let answer = get(server.health_addr(), "/api/v1/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// axum has no list of its routes, but shows them to whoever debugs.
fn routes_of(router: &Router) -> BTreeSet<String> {
    let shown = format!("{router:?}");
    // And one of its own, for what is none of them.
    shown
        .split("RouteId(")
        .filter_map(|part| part.split_once("): \"")?.1.split('"').next().filter(|path| !path.contains("axum_fallback")).map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn every_route_is_in_the_document_and_every_path_of_the_document_is_a_route() {
    let document = document().await;
    let documented: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let routes = routes_of(&router());
    assert!(documented.len() > 20, "{documented:?}");
    assert_eq!(documented, routes);
    // And with its methods: what is not described is not answered.
    let server = start(config(), service(), metrics()).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{name}", "ict").replace("{id}", "3f09").replace("{action}", "retry");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let is_described = item.get(method.to_lowercase()).is_some();
            let headers = format!("authorization: Bearer {SECRET}\r\ncontent-length: 0\r\n");
            if path == "/api/v1/events" && method == "GET" {
                continue;
            }
            let status = ask(server.health_addr(), method, &path, &headers).await.status;
            assert_eq!(status != 405, is_described, "{method} {path} answers {status}");
        }
    }
}

#[tokio::test]
async fn every_operation_is_described_and_every_example_is_what_its_schema_says() {
    let document = document().await;
    let mut examples = 0;
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{at}");
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{at}");
            let writes = method == "post";
            let expected = if writes { json!([{ "token": [] }]) } else { json!([{}, { "token": [] }]) };
            let is_open = path.starts_with("/health") || path == "/metrics";
            assert_eq!(operation.get("security"), if is_open { None } else { Some(&expected) }, "{at}");
            assert_eq!(operation["responses"].get("401").is_some(), !is_open, "{at}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].as_str().is_some_and(|text| !text.is_empty()), "{at}: {parameter}");
            }
            let bodies = operation["responses"].as_object().unwrap().values().chain(operation.get("requestBody"));
            for content in bodies.filter_map(|body| body["content"].as_object()).flatten() {
                let (media_type, content) = content;
                let Some(example) = content.get("example") else { continue };
                let mut schema = content["schema"].clone();
                schema["components"] = document["components"].clone();
                let validator = jsonschema::validator_for(&schema).unwrap();
                let wrong: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
                assert!(wrong.is_empty(), "{at}, {media_type}: {wrong:?}");
                examples += 1;
            }
        }
    }
    assert!(examples > 80, "{examples}");
}

#[tokio::test]
async fn every_kind_of_event_is_in_the_document() {
    let document = document().await;
    let variants = document["components"]["schemas"]["Event"]["oneOf"].as_array().unwrap();
    let kind = |variant: &Value| -> Option<String> {
        let parts = variant["allOf"].as_array().into_iter().flatten().chain([variant]);
        parts.filter_map(|part| part["properties"]["kind"]["enum"][0].as_str()).map(str::to_owned).next()
    };
    let kinds: Vec<String> = variants.iter().map(|variant| kind(variant).unwrap()).collect();
    assert_eq!(kinds, Event::KINDS);
}
