;; Exports `convert` with another type.
;;! ends: load
;;! says: cannot be wrapped into a component

(func $convert (param i64) (result i32) unreachable)
