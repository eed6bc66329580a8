;; Logs 100,000 lines.
;;! ends: converted
;;! says: more log lines were dropped
;;! limits: log_lines = 100

(data (i32.const 16384) "a line of a flood")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (local $n i32)
  (loop $l
    (call $log (i32.const 2) (i32.const 16384) (i32.const 17) (i32.const 0) (i32.const 0))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $l (i32.lt_u (local.get $n) (i32.const 100000))))
  (call $drop_input (local.get $input))
  (i32.const 768))
