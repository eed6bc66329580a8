;; Traps in its start function.
;;! ends: load
;;! says: its `describe` failed: trap

(func $run unreachable)
(start $run)
