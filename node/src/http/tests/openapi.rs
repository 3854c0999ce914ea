//! The API's description describes the API.

use std::collections::BTreeSet;

use serde_json::Value;

use super::harness::{FakeFront, request};
use crate::http::{OPENAPI, Permission, ROUTES, Route};

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// A path as the document writes it, which has no sign for a parameter of several segments.
fn template(route: &Route) -> String {
    route.path.replace("{*", "{")
}

#[tokio::test]
async fn the_document_is_served_to_everybody() {
    let answer = request("GET", "/api/v1/openapi.json")
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), document());
}

#[test]
fn it_lists_exactly_the_routes_with_their_operations() {
    let document = document();
    let described: BTreeSet<(String, String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            operations
                .as_object()
                .unwrap()
                .iter()
                .map(|(method, operation)| {
                    let id = operation["operationId"].as_str().unwrap().to_owned();
                    (path.clone(), method.to_uppercase(), id)
                })
        })
        .collect();
    let served: BTreeSet<(String, String, String)> = ROUTES
        .iter()
        .filter(|route| !route.is_page())
        .map(|route| {
            let id = format!("{:?}", route.endpoint);
            (template(route), route.method.to_string(), id)
        })
        .collect();
    assert_eq!(described, served);
}

#[test]
fn it_says_which_routes_need_a_token_and_what_refusals_they_give() {
    let document = document();
    for route in ROUTES.iter().filter(|route| !route.is_page()) {
        let method = route.method.as_str().to_lowercase();
        let operation = &document["paths"][template(route)][&method];
        let public = route.permission == Permission::Public;
        assert_eq!(
            operation.get("security").is_some(),
            public,
            "{}",
            route.path
        );
        let refused = operation["responses"].get("403").is_some();
        assert!(public || refused, "{}", route.path);
    }
}

#[test]
fn every_reference_in_it_leads_somewhere() {
    fn walk<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                references.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| walk(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, references)),
            _ => {}
        }
    }
    let document = document();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(references.len() > 50, "{} references", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}
