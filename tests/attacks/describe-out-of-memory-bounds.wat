;; Has a descriptor at an address that it does not have.
;;! ends: load
;;! says: its `describe` failed: trap

(func $describe (result i32) (i32.const -16))
