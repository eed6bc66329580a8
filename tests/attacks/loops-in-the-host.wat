;; Does nothing but call the host.
;;! ends: job timeout
;;! says: its limit of wall time
;;! limits: wall_seconds = 0.5

(func $convert (param $input i32) (param i32 i32) (result i32) (loop $l (drop (call $size (local.get $input))) (br $l)) unreachable)
