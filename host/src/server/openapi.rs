//! The document of the API (OpenAPI 3.1). Routes are added by way of it alone, so none is without its description.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::json;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::problem::{self, Problem};

/// What all paths have in common.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Dropforge",
        description = "Files in, documents out. On loopback reading needs nothing; what changes something, and beyond loopback everything \
                       below `/api`, needs the token in the file `token` of the state folder. Errors are problem documents (RFC 9457)."
    ),
    components(schemas(Problem)),
    modifiers(&Security),
    tags(
        (name = "health", description = "Whether the service lives and can work, for probes and for Prometheus."),
        (name = "files", description = "Files that are posted."),
        (name = "jobs", description = "What became of every file, and how to try again."),
        (name = "parts", description = "Routes, plugins and caches."),
        (name = "operation", description = "How the service runs."),
    ),
)]
pub(super) struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("What is in the file `token` of the state folder."));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    }
}

fn problem(status: StatusCode, description: &str) -> (String, RefOr<Response>) {
    let title = status.canonical_reason().unwrap_or_default();
    let example = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": description });
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).example(Some(example)).build();
    let mut response = ResponseBuilder::new().description(description).content(problem::MEDIA_TYPE, content);
    let number = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    match status {
        StatusCode::UNAUTHORIZED => {
            response = response.header("WWW-Authenticate", HeaderBuilder::new().description(Some("`Bearer`.")).build());
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            let header =
                HeaderBuilder::new().schema(Some(number)).description(Some("After how many seconds it may go, where that is known."));
            response = response.header("Retry-After", header.build());
        }
        _ => {}
    }
    (status.as_str().to_owned(), response.build().into())
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident { $($status:ident: $description:literal,)* })*) => {
        $($(#[$doc])*
        pub(super) enum $name {}

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                BTreeMap::from([$(problem(StatusCode::$status, $description)),*])
            }
        })*
    };
}

problems! {
    /// What every path below `/api` may answer, and the page.
    Guarded {
        UNAUTHORIZED: "The token is not there, or is another.",
        INTERNAL_SERVER_ERROR: "The answer could not be made; the log says why.",
        SERVICE_UNAVAILABLE: "Not now: it takes too long, or too much is asked at a time.",
    }
    /// Probes may answer this.
    Failing {
        INTERNAL_SERVER_ERROR: "The answer could not be made; the log says why.",
    }
    /// What is open may answer this.
    Open {
        INTERNAL_SERVER_ERROR: "The answer could not be made; the log says why.",
        SERVICE_UNAVAILABLE: "Not now: it takes too long.",
    }
    /// A query, a part of the path or a body that makes no sense.
    Bad {
        BAD_REQUEST: "The request makes no sense, for this reason.",
    }
    /// Something that is named and is not there.
    Absent {
        NOT_FOUND: "There is nothing of that name.",
    }
    /// Something that is not allowed, whoever asks.
    Forbidden {
        FORBIDDEN: "This route takes no files this way.",
    }
    /// Something that was said otherwise before.
    Conflict {
        CONFLICT: "This `Idempotency-Key` came with other bytes before.",
    }
    /// A file that cannot be converted.
    Unprocessable {
        UNPROCESSABLE_ENTITY: "The file cannot be converted; `outcome`, `error_type`, `error` and `problems` say why.",
    }
    /// A body with bounds.
    Bounded {
        REQUEST_TIMEOUT: "Nothing came for 30 s.",
        PAYLOAD_TOO_LARGE: "The body is larger than it may be.",
    }
}
