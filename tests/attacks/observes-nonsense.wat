;; Observes a metric that it has not declared, one with too few labels, and NaN.
;;! ends: converted
;;! says: 3 metric observations were ignored

(data (i32.const 16384) "undeclared")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (local $metric i32)
  (local.set $metric (i32.load (i32.const 1080)))
  (i32.store (i32.const 16400) (i32.const 16384))
  (i32.store (i32.const 16404) (i32.const 4))
  (call $observe (i32.const 16384) (i32.const 10) (f64.const 1) (i32.const 0) (i32.const 0))
  (call $observe (i32.load (local.get $metric)) (i32.load (i32.add (local.get $metric) (i32.const 4))) (f64.const 1) (i32.const 0) (i32.const 0))
  (call $observe (i32.load (local.get $metric)) (i32.load (i32.add (local.get $metric) (i32.const 4))) (f64.const nan) (i32.const 16400) (i32.const 1))
  (call $drop_input (local.get $input))
  (i32.const 768))
