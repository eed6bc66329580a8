//! When a file is taken, how often, and with which others.

use super::*;

#[test]
fn files_that_were_there_count_the_oldest_first() {
    let station = Station::new(|_| {});
    fs::create_dir(station.inbox.join("sub")).unwrap();
    station.drop_old("b", 30);
    station.drop_old("sub/a", 10);
    station.drop_old("c", 20);
    let (_intake, recorder) = station.start();
    assert_eq!(recorder.wait(3), ["sub/a", "c", "b"]);
    let last = recorder.last();
    assert_eq!(last.path, station.inbox.join("b"));
    assert_eq!(last.identity, FileIdentity::at(&last.path).unwrap());
    assert_eq!(last.identity.modified_ns, 30_000_000_000);
}

#[test]
fn a_file_that_is_closed_or_renamed_into_the_folder_is_taken_at_once() {
    let station = Station::new(|intake| intake.quiet_seconds = NEVER);
    let (_intake, recorder) = station.start();
    station.wait_for_metric("intake_up{route=\"r\"} 1");
    station.drop_file("written");
    assert_eq!(recorder.wait(1), ["written"]);
    let elsewhere = station.dir.path().join("elsewhere");
    fs::write(&elsewhere, "x").unwrap();
    fs::rename(&elsewhere, station.inbox.join("renamed")).unwrap();
    assert_eq!(recorder.wait(2)[1], "renamed");
    station.drop_file("upload.part");
    fs::rename(station.inbox.join("upload.part"), station.inbox.join("upload")).unwrap();
    assert_eq!(recorder.wait(3)[2], "upload");
}

#[cfg(target_os = "linux")]
fn a_writer_that_pauses_is_waited_for(watch: Watch) {
    let station = Station::new(|intake| {
        intake.rescan_seconds = 0.05;
        intake.watch = watch;
    });
    let mut before = File::create(station.inbox.join("before")).unwrap();
    let (_intake, recorder) = station.start();
    let mut during = File::create(station.inbox.join("during")).unwrap();
    let second_writer = OpenOptions::new().append(true).open(station.inbox.join("during")).unwrap();
    for _row in 0..2 {
        before.write_all(b"row\n").unwrap();
        during.write_all(b"row\n").unwrap();
        // The pause is what is tested: four times `quiet_seconds`, and many scans.
        thread::sleep(Duration::from_millis(1_200));
        assert_eq!(recorder.count(), 0);
    }
    drop(before);
    assert_eq!(recorder.wait(1), ["before"]);
    drop(during);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(recorder.count(), 1, "one of two writers has closed");
    drop(second_writer);
    assert_eq!(recorder.wait(2)[1], "during");
    assert_eq!(recorder.last().identity.size, 8);
}

#[cfg(target_os = "linux")]
#[test]
fn a_writer_that_pauses_is_waited_for_when_it_is_heard() {
    a_writer_that_pauses_is_waited_for(Watch::Native);
}

#[cfg(target_os = "linux")]
#[test]
fn a_writer_that_pauses_is_waited_for_when_it_is_only_seen() {
    a_writer_that_pauses_is_waited_for(Watch::Poll);
}

#[cfg(target_os = "linux")]
#[test]
fn a_hard_link_is_taken_though_nobody_closes_it() {
    let station = Station::new(|_| {});
    let (_intake, recorder) = station.start();
    station.wait_for_metric("intake_up{route=\"r\"} 1");
    let elsewhere = station.dir.path().join("elsewhere");
    fs::write(&elsewhere, "x").unwrap();
    fs::hard_link(&elsewhere, station.inbox.join("link")).unwrap();
    assert_eq!(recorder.wait(1), ["link"]);
}

#[test]
fn quiet_waits_until_a_file_has_stopped_changing() {
    for poll in [false, true] {
        let station = Station::new(|intake| {
            intake.take = Take::Quiet;
            intake.quiet_seconds = 1.5;
            if poll {
                POLLING(intake);
            }
        });
        let (_intake, recorder) = station.start();
        station.wait_for_metric("intake_up{route=\"r\"} 1");
        let began = Instant::now();
        let path = station.drop_file("a");
        for _row in 0..10 {
            thread::sleep(Duration::from_millis(50));
            append(&path, "row\n");
        }
        let ended = Instant::now();
        assert_eq!(recorder.wait(1), ["a"]);
        // On a machine that stalled the writer for longer than it is quiet, an early arrival would be right.
        if ended - began < Duration::from_millis(1_400) {
            assert_eq!(recorder.last().identity.size, 41);
            assert!(ended.elapsed() >= Duration::from_millis(1_400));
        }
    }
}

#[cfg(unix)]
#[test]
fn what_is_never_taken() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let station = Station::new(|intake| {
        intake.include = vec!["*".into()];
        intake.exclude = vec!["*.log".into()];
        POLLING(intake);
    });
    for folder in ["done/2026-11-22", "failed", ".git", "real"] {
        fs::create_dir_all(station.inbox.join(folder)).unwrap();
    }
    let silent = [".x", "~x", "x~", "x.tmp", "x.part", ".dropforge-1-a", "done/2026-11-22/a", "failed/a", "failed/a.json", ".git/a"];
    for (second, name) in silent.iter().enumerate() {
        station.drop_old(name, second as u64);
    }
    let outside = station.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "x").unwrap();
    symlink(outside.join("secret"), station.inbox.join("to-secret")).unwrap();
    symlink(&outside, station.inbox.join("to-outside")).unwrap();
    symlink("done/2026-11-22/a", station.inbox.join("to-done")).unwrap();
    symlink("nothing", station.inbox.join("dangling")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, station.inbox.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = UnixListener::bind(station.inbox.join("socket")).unwrap();
    station.drop_old("a.log", 5);
    station.drop_old("real/file", 50);
    symlink("real/file", station.inbox.join("to-file")).unwrap();

    let (intake, recorder) = station.start();
    assert_eq!(recorder.wait(1), ["real/file"]);
    // Each of these is seen by a scan of its own.
    for name in ["one", "two", "three"] {
        station.drop_file(name);
        assert_eq!(recorder.wait(recorder.count() + 1).last().unwrap(), name);
    }
    // The links, the pipe, the socket and the log file; each once.
    station.wait_for_metric("intake_files_total{result=\"ignored\",route=\"r\"} 8");
    intake.stop();
    assert_eq!(recorder.count(), 4);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_that_is_taken_goes_when_that_is_settled() {
    let station = Station::new(POLLING);
    let (file, link) = (station.drop_file("2026-11-22.csv"), station.inbox.join("latest.csv"));
    std::os::unix::fs::symlink("2026-11-22.csv", &link).unwrap();
    let (_intake, recorder) = station.start();
    station.wait_for_metric("intake_files_total{result=\"ignored\",route=\"r\"} 1");
    assert_eq!(recorder.wait(1), ["2026-11-22.csv"]);
    assert!(link.is_symlink());
    fs::remove_file(file).unwrap();
    wait_until("the link to go", || !link.is_symlink());
    assert_eq!(recorder.count(), 1);
}

#[test]
fn a_file_is_announced_once_and_again_when_it_changed_or_came_back() {
    for poll in [false, true] {
        let station = Station::new(|intake| {
            if poll {
                POLLING(intake);
            }
        });
        let path = station.drop_file("a");
        let (_intake, recorder) = station.start();
        recorder.wait(1);
        let first = recorder.last().identity;
        // What is heard or seen of another file is handled after all that was heard before.
        station.drop_file("b");
        assert_eq!(recorder.wait(2), ["a", "b"]);
        append(&path, "more");
        assert_eq!(recorder.wait(3)[2], "a");
        let grown = recorder.last().identity;
        assert_eq!((grown.inode, grown.size), (first.inode, first.size + 4));
        if poll {
            // Nobody would see it go.
            continue;
        }
        let elsewhere = station.dir.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        assert_eq!(recorder.wait(4)[3], "a");
        assert_eq!(recorder.last().identity, grown);
    }
}

#[test]
fn a_file_that_is_not_taken_is_offered_again_and_keeps_nobody_waiting() {
    let tries = Mutex::new(0);
    let station = Station::new(|_| {});
    station.drop_old("bad", 1);
    station.drop_old("good", 2);
    let (_intake, recorder) = station.start_with(move |arrival| {
        let mut tries = tries.lock().unwrap();
        match arrival.relative.as_str() {
            "bad" if *tries < 1 => {
                *tries += 1;
                Err(ArrivalError::Retry("the disk is full".into()))
            }
            _ => Ok(()),
        }
    });
    assert_eq!(recorder.wait(3), ["bad", "good", "bad"]);
    station.wait_for_metric("intake_files_total{result=\"error\",route=\"r\"} 1");
}

#[test]
fn a_file_that_is_refused_is_offered_again_when_it_changed() {
    let station = Station::new(POLLING);
    let path = station.drop_file("big");
    let (_intake, recorder) = station.start_with(|arrival| match arrival.relative.as_str() {
        "big" => Err(ArrivalError::Refused("too big".into())),
        _ => Ok(()),
    });
    recorder.wait(1);
    for name in ["one", "two"] {
        station.drop_file(name);
        recorder.wait(recorder.count() + 1);
    }
    append(&path, "x");
    assert_eq!(recorder.wait(4), ["big", "one", "two", "big"]);
}

#[test]
fn what_waits_and_what_went_wrong_is_to_be_seen() {
    let station = Station::new(POLLING);
    station.drop_file("bad");
    let (_intake, recorder) = station.start_with(|_| Err(ArrivalError::Retry("it is locked".into())));
    recorder.wait(1);
    wait_until("the report of it", || {
        let sight = station.report.sight();
        sight.failing == 1 && sight.waiting == 1 && sight.last_error.is_some_and(|trouble| trouble.reason == "it is locked")
    });
    assert_eq!(station.report.sight().last_error.unwrap().path, "bad");
    fs::remove_file(station.inbox.join("bad")).unwrap();
    wait_until("nothing to wait", || station.report.sight().waiting == 0 && station.report.sight().failing == 0);
}

#[test]
fn what_is_due_together_goes_together() {
    let station = Station::new(|_| {});
    for number in 0..300 {
        station.drop_old(&number.to_string(), number);
    }
    let (_intake, recorder) = station.start();
    let names = recorder.wait(300);
    assert_eq!(names, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(*recorder.batches.lock().unwrap(), [256, 44]);
}

#[test]
fn a_large_file_keeps_no_small_one_waiting() {
    let station = Station::new(|_| {});
    for (second, name) in ["large", "larger"].iter().enumerate() {
        let path = station.drop_old(name, second as u64);
        let file = OpenOptions::new().append(true).open(path).unwrap();
        file.set_len(super::large::LARGE_BYTES + 1).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let (_intake, recorder) = station.start_with(move |arrival| {
        if arrival.relative.starts_with("large") {
            released.lock().unwrap().recv().unwrap();
        }
        Ok(())
    });
    for count in 1..=3 {
        station.drop_file(&count.to_string());
        assert_eq!(recorder.wait(count).last().unwrap(), &count.to_string());
    }
    release.send(()).unwrap();
    recorder.wait(4);
    release.send(()).unwrap();
    let mut names = recorder.wait(5);
    names.sort();
    assert_eq!(names, ["1", "2", "3", "large", "larger"]);
}

#[test]
fn a_large_file_that_is_not_taken_is_offered_again_unless_it_is_gone() {
    let station = Station::new(|_| {});
    for name in ["gone", "stays"] {
        OpenOptions::new().append(true).open(station.drop_file(name)).unwrap().set_len(super::large::LARGE_BYTES + 1).unwrap();
    }
    let tries = Mutex::new(0);
    let (_intake, recorder) = station.start_with(move |arrival| {
        if arrival.relative == "gone" {
            fs::remove_file(&arrival.path).unwrap();
            return Err(ArrivalError::Retry("it is gone".into()));
        }
        *tries.lock().unwrap() += 1;
        if *tries.lock().unwrap() == 1 { Err(ArrivalError::Retry("not yet".into())) } else { Ok(()) }
    });
    let mut names = recorder.wait(3);
    names.sort();
    assert_eq!(names, ["gone", "stays", "stays"]);
    wait_until("nothing to wait", || station.report.sight().waiting == 0);
    station.wait_for_metric("intake_files_total{result=\"error\",route=\"r\"} 1");
}

#[test]
fn files_wait_in_the_folder_while_there_is_no_room() {
    let station = Station::new(|_| {});
    let (_intake, recorder) = station.start();
    *recorder.room.lock().unwrap() = Room::None("the disk is full".into());
    station.drop_file("a");
    wait_until("the intake to be held back", || station.report.sight().held_back.as_deref() == Some("the disk is full"));
    assert_eq!((recorder.count(), station.report.sight().waiting), (0, 1));
    *recorder.room.lock().unwrap() = Room::Scarce("the disk is nearly full".into());
    assert_eq!(recorder.wait(1), ["a"]);
    assert_eq!(station.report.sight().held_back.as_deref(), Some("the disk is nearly full"));
    *recorder.room.lock().unwrap() = Room::Free;
    station.drop_file("b");
    assert_eq!(recorder.wait(2), ["a", "b"]);
    assert_eq!(station.report.sight().held_back, None);
}

#[test]
fn a_file_that_is_appended_to_all_day_is_taken_when_a_newer_one_has_come() {
    for watch in [Watch::Native, Watch::Poll] {
        let station = Station::new(|intake| {
            intake.take = Take::Superseded;
            intake.include = vec!["*.log".into(), "*.csv".into()];
            intake.quiet_seconds = 0.05;
            intake.rescan_seconds = 0.02;
            intake.watch = watch;
        });
        fs::create_dir(station.inbox.join("line")).unwrap();
        let monday = station.drop_old("line/monday.log", 100);
        // Neither is of its kind: another pattern, another folder.
        station.drop_old("line/results.csv", 200);
        station.drop_old("other.log", 200);
        let (_intake, recorder) = station.start();
        for second in 101..110 {
            append(&monday, "row\n");
            OpenOptions::new()
                .append(true)
                .open(&monday)
                .unwrap()
                .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second))
                .unwrap();
            // The pause is what is tested: longer than `quiet_seconds`, and some scans.
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(recorder.count(), 0);
        station.drop_old("line/sunday.log", 50);
        assert_eq!(recorder.wait(1), ["line/sunday.log"], "older than the newest");
        station.drop_old("line/tuesday.log", 300);
        assert_eq!(recorder.wait(2)[1], "line/monday.log");
        assert_eq!(recorder.last().identity.size, 15 + 9 * 4);
        wait_until("the others to wait", || station.report.sight().waiting == 3);
        // It grew after all, and is the newest now: it is a new file, and so is the one that it supersedes.
        append(&monday, "row\n");
        assert_eq!(recorder.wait(3)[2], "line/tuesday.log");
    }
}

#[test]
fn the_newest_file_is_taken_when_it_has_not_changed_for_long() {
    let station = Station::new(|intake| {
        intake.take = Take::Superseded;
        intake.superseded_hours = 0.3 / 3_600.0;
        intake.quiet_seconds = 0.05;
        intake.rescan_seconds = 0.02;
    });
    let began = Instant::now();
    station.drop_file("only.log");
    let (_intake, recorder) = station.start();
    assert_eq!(recorder.wait(1), ["only.log"]);
    assert!(began.elapsed() >= Duration::from_millis(300));
}
