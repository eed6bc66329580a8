;; Declares a metric that is not in a base unit.
;;! ends: load
;;! says: `milliseconds` is no base unit; measure in seconds

(data (i32.const 16384) "wait_milliseconds")
;; The pointer to the first metric, whose first field is its name.
(func $describe (result i32)
  (local $metric i32)
  (local.set $metric (i32.load (i32.const 1080)))
  (i32.store (local.get $metric) (i32.const 16384))
  (i32.store (i32.add (local.get $metric) (i32.const 4)) (i32.const 17))
  (i32.store8 (i32.add (local.get $metric) (i32.const 8)) (i32.const 1))
  (i32.const 1024))
