;; Declares a counter that does not say so.
;;! ends: load
;;! says: ends in `_total`: `rows_total`

(data (i32.const 16384) "rows")
;; The pointer to the first metric, whose first field is its name.
(func $describe (result i32)
  (local $metric i32)
  (local.set $metric (i32.load (i32.const 1080)))
  (i32.store (local.get $metric) (i32.const 16384))
  (i32.store (i32.add (local.get $metric) (i32.const 4)) (i32.const 4))
  (i32.store8 (i32.add (local.get $metric) (i32.const 8)) (i32.const 0))
  (i32.const 1024))
