;; Has a name of 4 GiB.
;;! ends: load
;;! says: its `describe` failed: trap

(func $describe (result i32) (i32.store (i32.const 1028) (i32.const -1)) (i32.const 1024))
