//! Folders that are missing, come and go, and what happens at the edges of watching them.

use super::*;

#[test]
fn a_file_that_vanishes_is_forgotten_in_silence() {
    let station = Station::new(|_| {});
    station.drop_old("a", 1);
    station.drop_old("b", 2);
    let (intake, recorder) = station.start_with(|arrival| {
        fs::remove_file(&arrival.path).unwrap();
        Err(ArrivalError::Retry("gone".into()))
    });
    assert_eq!(recorder.wait(2), ["a", "b"]);
    intake.stop();
    assert!(station.metrics.exposition().contains("intake_files_total{result=\"error\",route=\"r\"} 0"));
}

#[test]
fn a_missing_folder_is_waited_for_unless_it_is_to_be_made() {
    for create in [false, true] {
        let station = Station::new(|intake| {
            intake.rescan_seconds = 0.05;
            intake.create = create;
        });
        fs::remove_dir(&station.inbox).unwrap();
        let (_intake, recorder) = station.start();
        if !create {
            station.wait_for_metric("intake_up{route=\"r\"} 0");
            assert!(!station.inbox.exists());
            fs::create_dir(&station.inbox).unwrap();
        }
        station.wait_for_metric("intake_up{route=\"r\"} 1");
        station.drop_file("a");
        assert_eq!(recorder.wait(1), ["a"]);
    }
}

#[test]
fn a_folder_that_is_away_for_a_while_is_not_an_empty_one() {
    let station = Station::new(|intake| intake.rescan_seconds = 0.05);
    station.drop_file("a");
    let (_intake, recorder) = station.start();
    recorder.wait(1);
    let away = station.dir.path().join("away");
    fs::rename(&station.inbox, &away).unwrap();
    station.wait_for_metric("intake_up{route=\"r\"} 0");
    fs::rename(&away, &station.inbox).unwrap();
    station.wait_for_metric("intake_up{route=\"r\"} 1");
    station.drop_file("b");
    assert_eq!(recorder.wait(2), ["a", "b"]);
}

#[test]
fn a_folder_that_is_removed_and_made_again_is_watched_again() {
    let station = Station::new(|intake| intake.rescan_seconds = 0.05);
    station.drop_file("a");
    let (_intake, recorder) = station.start();
    recorder.wait(1);
    for round in 2..5 {
        fs::remove_dir_all(&station.inbox).unwrap();
        station.wait_for_metric("intake_up{route=\"r\"} 0");
        fs::create_dir(&station.inbox).unwrap();
        station.drop_file("a");
        assert_eq!(recorder.wait(round).len(), round);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn another_folder_in_its_place_is_listened_to() {
    let station = Station::new(|_| {});
    station.drop_file("a");
    let (_intake, recorder) = station.start();
    recorder.wait(1);
    let other = station.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("b"), "x").unwrap();
    rustix::fs::renameat_with(rustix::fs::CWD, &other, rustix::fs::CWD, &station.inbox, rustix::fs::RenameFlags::EXCHANGE).unwrap();
    assert_eq!(recorder.wait(2), ["a", "b"]);
    // No scan is near.
    station.drop_file("c");
    assert_eq!(recorder.wait(3)[2], "c");
}

#[test]
fn folders_that_appear_are_looked_into() {
    let station = Station::new(|_| {});
    let (_intake, recorder) = station.start();
    station.wait_for_metric("intake_up{route=\"r\"} 1");
    let elsewhere = station.dir.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("deep/er")).unwrap();
    fs::write(elsewhere.join("deep/er/a"), "x").unwrap();
    fs::rename(elsewhere.join("deep"), station.inbox.join("deep")).unwrap();
    assert_eq!(recorder.wait(1), ["deep/er/a"]);
    fs::create_dir(station.inbox.join("new")).unwrap();
    station.drop_file("new/b");
    assert_eq!(recorder.wait(2)[1], "new/b");
    // By then the watcher listens to it.
    station.drop_file("new/c");
    assert_eq!(recorder.wait(3)[2], "new/c");
    // A folder that goes takes its files with it.
    fs::rename(station.inbox.join("deep"), elsewhere.join("deep")).unwrap();
    fs::rename(elsewhere.join("deep"), station.inbox.join("deep")).unwrap();
    assert_eq!(recorder.wait(4)[3], "deep/er/a");
}

#[cfg(unix)]
#[test]
fn the_folder_may_be_a_symlink() {
    let mut station = Station::new(|_| {});
    let link = station.dir.path().join("link");
    std::os::unix::fs::symlink(&station.inbox, &link).unwrap();
    fs::create_dir(station.inbox.join("sub")).unwrap();
    station.drop_old("a", 1);
    station.route.intake.path = link.clone();
    let (_intake, recorder) = station.start();
    assert_eq!(recorder.wait(1), ["a"]);
    assert_eq!(recorder.last().path, link.join("a"));
    station.drop_file("b");
    assert_eq!(recorder.wait(2)[1], "b");
    station.drop_file("sub/c");
    assert_eq!(recorder.wait(3)[2], "sub/c");
}

#[test]
fn folders_below_are_left_alone_if_so_configured() {
    let station = Station::new(|intake| intake.recursive = false);
    fs::create_dir(station.inbox.join("sub")).unwrap();
    station.drop_old("sub/a", 1);
    station.drop_old("b", 2);
    let (_intake, recorder) = station.start();
    recorder.wait(1);
    station.drop_file("sub/c");
    station.drop_file("d");
    assert_eq!(recorder.wait(2), ["b", "d"]);
}

#[test]
fn nothing_is_lost_while_a_file_is_being_taken() {
    // More than the signals have room for: then a scan finds the rest.
    for count in [1_000, 17_000] {
        let station = Station::new(|_| {});
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = Mutex::new(released);
        station.drop_file("first");
        let (started, has_started) = std::sync::mpsc::channel();
        let (_intake, recorder) = station.start_with(move |arrival| {
            if arrival.relative == "first" {
                started.send(()).unwrap();
                released.lock().unwrap().recv().unwrap();
            }
            Ok(())
        });
        has_started.recv().unwrap();
        for number in 0..count {
            station.drop_file(&number.to_string());
        }
        release.send(()).unwrap();
        let mut names = recorder.wait(count + 1);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count + 1);
    }
}

#[test]
fn stopping_waits_for_nothing() {
    let station = Station::new(|intake| {
        intake.take = Take::Quiet;
        intake.quiet_seconds = NEVER;
    });
    station.drop_file("a");
    let (intake, recorder) = station.start();
    station.wait_for_metric("intake_up{route=\"r\"} 1");
    let began = Instant::now();
    intake.stop();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(recorder.count(), 0);
}

#[test]
fn what_cannot_start_says_why() {
    let refused = |configure: fn(&mut config::Intake)| {
        let station = Station::new(configure);
        let recorder = Arc::new(Recorder {
            arrivals: Mutex::default(),
            more: Condvar::new(),
            answer: Box::new(|_| Ok(())),
            room: Mutex::new(Room::Free),
            batches: Mutex::default(),
        });
        Intake::start(Arc::new(station.route.clone()), recorder, Arc::clone(&station.metrics), Arc::default()).err().unwrap().to_string()
    };
    assert!(
        refused(|intake| intake.exclude = vec!["[".into()]).contains("`[`")
            || refused(|intake| intake.exclude = vec!["[".into()]).contains("'['")
    );
    assert!(refused(|intake| intake.done = Some(intake.path.clone())).contains("`done`"));
}
