;; Traps instead of saying what it is.
;;! ends: load
;;! says: (in `describe`)

(func $describe (result i32) unreachable)
