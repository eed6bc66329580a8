//! Ports that are taken, and the end of a server.

use super::*;

#[tokio::test]
async fn a_health_port_that_is_taken_is_an_error_that_names_it() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = other.local_addr().unwrap().port();
    let config = ServerConfig { health_port: port, ..config() };
    let error = Server::start(config, with_inlet(service()), metrics()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("health port {port} on 127.0.0.1: it is taken")) && error.contains("DROPFORGE_HEALTH_PORT"), "{error}");
}

#[tokio::test]
async fn a_metrics_port_that_is_taken_is_tried_again() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = other.local_addr().unwrap().port();
    let mut server = start(ServerConfig { metrics_port: port, ..config() }, service(), metrics()).await;
    assert_eq!(server.metrics_addr(), None);
    assert_eq!(get(server.health_addr(), "/metrics").await.status, 200);
    drop(other);
    server.metrics_addr.wait_for(Option::is_some).await.unwrap();
    assert_eq!(server.metrics_addr().unwrap().port(), port);
    assert_eq!(get(server.metrics_addr().unwrap(), "/metrics").await.status, 200);
}

#[tokio::test]
async fn a_server_that_waits_for_its_metrics_port_stops_at_once() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let config = ServerConfig { metrics_port: other.local_addr().unwrap().port(), ..config() };
    Server::start(config, with_inlet(service()), metrics()).await.unwrap().stop().await;
}

#[tokio::test]
async fn stopping_lets_a_request_end_and_closes_the_ports() {
    let metrics = metrics();
    let (entered, mut has_entered) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    metrics.on_scrape(Box::new(move |_| {
        entered.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
    }));
    let server = start(config(), service(), metrics).await;
    let (health, metrics) = (server.health_addr(), server.metrics_addr().unwrap());
    // An idle connection must not hold the server up.
    let mut idle = TcpStream::connect(health).await.unwrap();
    let scrape = tokio::spawn(get(health, "/metrics"));
    has_entered.recv().await.unwrap();
    let stop = tokio::spawn(server.stop());
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    release.send(()).unwrap();
    assert_eq!(scrape.await.unwrap().status, 200);
    stop.await.unwrap();
    for address in [health, metrics] {
        TcpListener::bind(address).await.unwrap();
    }
}
