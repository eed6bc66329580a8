;; Spins where the host asks it for room.
;;! ends: job timeout
;;! says: its limit of wall time
;;! limits: wall_seconds = 0.5

(func $realloc (param i32 i32 i32 i32) (result i32) (loop $l (br $l)) unreachable)
