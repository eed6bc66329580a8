//! Files that are posted, to be queued or to be converted at once.

use super::*;

#[tokio::test]
async fn files_are_posted_with_the_token_alone() {
    let server = start(config(), service(), metrics()).await;
    let post = async |path: &str, headers: &str, body: &str| {
        let headers = format!("{headers}Content-Length: {}\r\n", body.len());
        ask_with(server.health_addr(), "POST", path, &headers, body).await
    };
    let token = format!("Authorization: Bearer {SECRET}\r\n");
    for path in ["/api/v1/routes/r/jobs", "/api/v1/convert"] {
        let refused = post(path, "", "x").await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
        assert!(refused.json()["detail"].as_str().unwrap().starts_with("What changes something needs `Authorization: Bearer`"));
        assert_eq!(ask(server.health_addr(), "GET", path, &token).await.status, 405);
    }
    let headers = format!("{token}Idempotency-Key: k\r\nContent-Disposition: attachment; filename=\"../a.csv\"\r\n");
    let busy = post("/api/v1/routes/r/jobs", &headers, "x").await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("7")));
    let expected =
        UploadRequest { route: "r".into(), name: "a.csv".into(), key: Some("k".into()), length: Some(1), media_type: None, trace: None };
    assert_eq!(busy.json()["detail"], format!("{expected:?}"));
    for (path, headers) in [
        ("/api/v1/routes/r/jobs?nam=a", token.clone()),
        ("/api/v1/routes/r/jobs?name=a%0Ab", token.clone()),
        ("/api/v1/routes/r/jobs", format!("{token}Idempotency-Key: {}\r\n", "k".repeat(256))),
        ("/api/v1/convert?form=xml", token.clone()),
    ] {
        let answer = post(path, &headers, "x").await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/problem+json")), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn one_document_is_answered_as_it_is_and_everything_else_as_json() {
    let server = start(config(), service(), metrics()).await;
    let post = async |path: &str, body: &str| {
        let headers = format!("Authorization: Bearer {SECRET}\r\nContent-Length: {}\r\n", body.len());
        ask_with(server.health_addr(), "POST", path, &headers, body).await
    };
    let one = post("/api/v1/convert?name=a%20b.csv", "row").await;
    assert_eq!((one.status, one.body.as_str(), one.header("content-type")), (200, "row", Some("text/plain")));
    assert_eq!(one.header("content-disposition"), Some("attachment; filename*=UTF-8''a%20b.csv"));
    assert_eq!(one.header("dropforge-converter"), Some("csv 1"));
    let document = json!([{ "name": "x", "media_type": "text/plain", "attributes": { "a": "1" }, "key": null, "text": "row" }]);
    for (query, outcome) in [("name=x&form=json", "converted"), ("name=x&converter=partly", "partial")] {
        let answer = post(&format!("/api/v1/convert?{query}"), "row").await.json();
        assert_eq!((&answer["outcome"], &answer["documents"]), (&json!(outcome), &document));
    }
    let large = post("/api/v1/convert", "01234567890").await;
    assert_eq!(large.status, 413);
    assert!(large.json()["detail"].as_str().unwrap().contains("at most 10 bytes"));
}
