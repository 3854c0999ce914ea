//! The API's description for programs and for people who write them.

/// An OpenAPI 3.1 document, written by hand; a test holds that it lists exactly the routes of the
/// table.
pub const DOCUMENT: &str = include_str!("openapi.json");
