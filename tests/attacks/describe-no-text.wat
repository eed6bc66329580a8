;; Has a name that is no UTF-8.
;;! ends: load
;;! says: its `describe` failed: trap

(func $describe (result i32) (i32.store8 (i32.const 2048) (i32.const 255)) (i32.const 1024))
