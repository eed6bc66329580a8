//! What operators ask and order over the API.

use super::*;

#[tokio::test]
async fn jobs_are_found_shown_and_acted_upon() {
    let server = start(config(), service(), metrics()).await;
    let at = server.health_addr();
    assert_eq!(
        get(at, "/api/v1/jobs?path=a%20b.csv&dead=true&since_ms=5").await.json(),
        json!([{ "path": "a b.csv", "dead": true, "since_ms": 5 }])
    );
    for query in ["rout=x", "path=a&path=b"] {
        assert_eq!(get(at, &format!("/api/v1/jobs?{query}")).await.status, 400, "{query}");
    }
    assert_eq!(get(at, "/api/v1/jobs/3f09").await.json(), json!({ "id": "3f09" }));
    assert_eq!(get(at, "/api/v1/jobs/4").await.status, 404);
    assert_eq!(get(at, "/api/v1/queue").await.json(), json!({ "due": 1 }));
    let token = format!("Authorization: Bearer {SECRET}\r\nContent-Type: application/json\r\n");
    let act = async |path: &str, body: &str| ask_with(at, "POST", path, &format!("{token}Content-Length: {}\r\n", body.len()), body).await;
    assert_eq!(act("/api/v1/queue/retry", r#"{"path":"a"}"#).await.json(), json!({ "action": "Retry", "filter": { "path": "a" } }));
    assert_eq!(act("/api/v1/queue/replay", r#"{"all":true}"#).await.json(), json!({ "action": "Replay", "filter": {} }));
    for (path, body, status) in [
        ("retry", "{}", 400),
        ("retry", "[]", 400),
        ("retry", "{", 400),
        ("retry", r#"{"all":"true"}"#, 400),
        // Nobody who says this means every job.
        ("purge", r#"{"path":null,"dead":false,"all":null}"#, 400),
        ("burn", r#"{"all":true}"#, 404),
    ] {
        assert_eq!(act(&format!("/api/v1/queue/{path}"), body).await.status, status, "{path} {body}");
    }
    // Without the token nothing is done, on loopback neither.
    assert_eq!(ask_with(at, "POST", "/api/v1/queue/purge", "Content-Type: application/json\r\n", r#"{"all":true}"#).await.status, 401);
}

#[tokio::test]
async fn caches_are_shown_and_emptied() {
    let server = start(config(), service(), metrics()).await;
    let address = server.health_addr();
    assert_eq!(get(address, "/api/v1/cache").await.json(), json!([{ "name": "conversion" }]));
    let post = async |action: &str, body: &str, token: &str| {
        let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n{token}", body.len());
        ask_with(address, "POST", &format!("/api/v1/cache/{action}"), &headers, body).await
    };
    let token = format!("authorization: Bearer {SECRET}\r\n");
    assert_eq!(post("clear", "{}", "").await.status, 401);
    assert_eq!(post("clear", "{}", &token).await.json(), json!({ "removed": 2 }));
    assert_eq!(post("clear", r#"{"cache": "conversion"}"#, &token).await.json(), json!({ "removed": 1 }));
    assert_eq!(post("invalidate", r#"{"pattern": "/api"}"#, &token).await.json(), json!({ "removed": 4 }));
    for (action, body, status) in [
        ("clear", r#"{"cache": "other"}"#, 400),
        ("clear", r#"{"pattern": "/api"}"#, 400),
        ("invalidate", "{}", 400),
        ("invalidate", r#"{"patern": "/api"}"#, 400),
        ("empty", "{}", 404),
    ] {
        assert_eq!(post(action, body, &token).await.status, status, "{action} {body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn routes_and_converters_are_paused_and_go_on() {
    let server = start(config(), service(), metrics()).await;
    let address = server.health_addr();
    let post = async |path: &str, body: &str, token: &str| {
        let headers = format!("content-length: {}\r\n{token}", body.len());
        ask_with(address, "POST", &format!("/api/v1/{path}"), &headers, body).await
    };
    let token = format!("authorization: Bearer {SECRET}\r\n");
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(501));
    for (path, body, paused, changed) in [
        ("routes/ict/pause", r#"{"reason": "why"}"#, true, true),
        ("routes/ict/pause", "", true, false),
        ("routes/ict/resume", "", false, true),
        ("converters/csv/pause", "{}", true, false),
        ("converters/csv/resume", "{}", false, false),
    ] {
        assert_eq!(post(path, body, "").await.status, 401, "{path}");
        assert_eq!(post(path, body, &token).await.json(), json!({ "paused": paused, "changed": changed }), "{path} {body}");
    }
    for (path, body, status) in [
        ("routes/ghost/pause", "", 404),
        ("converters/ghost/pause", "", 404),
        ("routes/ict/stop", "", 404),
        ("routes/ict/pause", "why", 400),
        ("routes/ict/pause", r#"{"resaon": "why"}"#, 400),
        ("routes/ict/pause", long.as_str(), 400),
    ] {
        assert_eq!(post(path, body, &token).await.status, status, "{path} {body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_configuration_is_taken_anew_and_the_log_changed() {
    let token = format!("authorization: Bearer {SECRET}\r\ncontent-type: application/json\r\n");
    let post = async |address, path: &str, body: &str| {
        ask_with(address, "POST", &format!("/api/v1/{path}"), &format!("{token}content-length: {}\r\n", body.len()), body).await
    };
    let server = start(config(), service(), metrics()).await;
    let address = server.health_addr();
    let answer = post(address, "reload", "").await;
    assert_eq!((answer.status, answer.json()), (202, json!({ "changes": ["workers: 1 → 2"] })));
    assert_eq!(ask_with(address, "POST", "/api/v1/reload", "content-length: 0\r\n", "").await.status, 401);
    assert_eq!(post(address, "log-level", r#"{"level": "debug"}"#).await.json(), json!({ "level": "debug" }));
    for body in [r#"{"level": "loud"}"#, r#"{"lvl": "debug"}"#, ""] {
        assert_eq!(post(address, "log-level", body).await.status, 400, "{body}");
    }
    server.stop().await;
    let server = start(config(), Arc::new(Service { reasons: Mutex::default(), queue: false }), metrics()).await;
    assert_eq!(post(server.health_addr(), "reload", "").await.status, 400);
}
