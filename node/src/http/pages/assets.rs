//! Style sheet, scripts, icon.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use vaquita_core::admin::Refusal;
use vaquita_web::assets;

use super::{Answer, Segments};

/// For ever: another version has another address.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

pub(in crate::http) async fn serve(path: Segments) -> Answer {
    let no_such = || {
        let what = "there is no such file; load the page anew".to_owned();
        Refusal::NotFound { what }
    };
    let asset = assets::find(path.named("name")).ok_or_else(no_such)?;
    let mut response: Response = asset.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    // A page of an older program that is still open gets what there is, and does not keep it.
    if path.named("version") == assets::version() {
        headers.insert(CACHE_CONTROL, FOR_EVER);
    }
    Ok(response)
}
