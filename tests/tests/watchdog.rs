//! Workers that do not come back from a call of the system's: they are replaced, counted and said, and lose nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::{Setup, wait_for};

#[test]
fn a_worker_that_hangs_is_replaced_until_as_many_are_lost_as_there_should_be() {
    let config = "workers = 2\noverdue_seconds = 4.0\nlimits = { wall_seconds = 2.0 }\n\
                  [[routes]]\nname = 'r'\nconverter = 'csv'\nintake = { path = '{dir}/in' }\n\
                  destinations = [{ type = 'folder', path = '{dir}/out' }]\n";
    let setup = Setup::new().plugins(&["csv"]).config(config);
    let hold = setup.path("hold");
    fs::write(&hold, "").unwrap();
    // As a share does whose server is gone: whoever opens this file waits.
    let daemon =
        setup.environment("DROPFORGE_HOLD_AT", "convert:hangs.csv").environment("DROPFORGE_HOLD_FILE", hold.to_str().unwrap()).start();
    let lost = "queue_workers_lost_total{queue_name=\"converter_queue\"}";
    daemon.assert_metric(lost, 0.0);
    daemon.drop_file("hangs.csv", "a,b\n1,2\n");
    daemon.wait_for_log("does not come back from this file");
    daemon.assert_metric(lost, 1.0);
    assert_eq!(daemon.get("/health/ready").0, 200, "two workers are there");
    daemon.assert_metric("queue_workers{queue_name=\"converter_queue\"}", 2.0);

    // Another one hangs: a file of the same name, so it is held, too.
    fs::create_dir(daemon.path("other")).unwrap();
    fs::write(daemon.path("other/hangs.csv"), "a,b\n3,4\n").unwrap();
    fs::rename(daemon.path("other/hangs.csv"), daemon.path("in/hangs.csv")).unwrap();
    let reasons = wait_for("the daemon to say that it is not ready", || {
        let (status, body) = daemon.get("/health/ready");
        (status == 503).then_some(body)
    });
    assert!(reasons.contains("2 workers do not come back, one of them from `hangs.csv`"), "{reasons}");
    daemon.assert_metric(lost, 2.0);

    // Those in their place work meanwhile.
    for number in 0..4 {
        daemon.drop_file(&format!("{number}.csv"), "a,b\n5,6\n");
    }
    for number in 0..4 {
        daemon.wait_for_settled("done", &format!("{number}.csv"));
    }

    // What hung comes back, and ends as it would have.
    fs::remove_file(&hold).unwrap();
    daemon.wait_for_settled("done", "hangs.csv");
    wait_for("the daemon to be ready", || (daemon.get("/health/ready").0 == 200).then_some(()));
    wait_for("all to be at rest", || (daemon.metric("queue_active_workers{queue_name=\"converter_queue\"}") == Some(0.0)).then_some(()));
    daemon.drop_file("after.csv", "a,b\n7,8\n");
    daemon.wait_for_settled("done", "after.csv");
    daemon.assert_metric(lost, 2.0);
}
