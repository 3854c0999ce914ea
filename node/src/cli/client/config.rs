//! The calls about the controller's files.

use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::api::{Api, ApiError};
use crate::percent::segment;

#[derive(Deserialize)]
struct Tagged {
    etag: String,
}

fn path(file: &str, what: &str) -> String {
    format!("/api/v1/config/{}{what}", segment(file))
}

impl Api {
    /// The list of files, or one of them.
    pub(in crate::cli) async fn config(&mut self, file: Option<&str>) -> Result<Value, ApiError> {
        match file {
            Some(file) => self.raw(&path(file, "")).await,
            None => self.raw("/api/v1/config").await,
        }
    }

    /// The entity tag of a file's present text.
    pub(in crate::cli) async fn config_etag(&mut self, file: &str) -> Result<String, ApiError> {
        let Tagged { etag } = self.json(Method::GET, &path(file, ""), None).await?;
        Ok(etag)
    }

    pub(in crate::cli) async fn config_history(&mut self, file: &str) -> Result<Value, ApiError> {
        self.raw(&path(file, "/history")).await
    }

    /// Has the controller take up its files.
    pub(in crate::cli) async fn reload_config<T: DeserializeOwned>(
        &mut self,
    ) -> Result<T, ApiError> {
        self.json(Method::POST, "/api/v1/config/reload", None).await
    }

    /// What would come of a change.
    pub(in crate::cli) async fn check_config<T: DeserializeOwned>(
        &mut self,
        file: &str,
        body: Value,
    ) -> Result<T, ApiError> {
        let path = path(file, "/check");
        self.json(Method::POST, &path, Some(body)).await
    }

    /// Changes the text with that entity tag.
    pub(in crate::cli) async fn write_config<T: DeserializeOwned>(
        &mut self,
        file: &str,
        etag: &str,
        body: Value,
    ) -> Result<T, ApiError> {
        self.replacing(etag, Method::PUT, &path(file, ""), body)
            .await
    }

    /// Brings back an earlier text in place of the one with that entity tag.
    pub(in crate::cli) async fn undo_config<T: DeserializeOwned>(
        &mut self,
        file: &str,
        etag: &str,
        body: Value,
    ) -> Result<T, ApiError> {
        self.replacing(etag, Method::POST, &path(file, "/undo"), body)
            .await
    }
}
