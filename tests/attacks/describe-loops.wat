;; Never says what it is.
;;! ends: load
;;! says: its `describe` failed: timeout

(func $describe (result i32) (loop $l (br $l)) unreachable)
