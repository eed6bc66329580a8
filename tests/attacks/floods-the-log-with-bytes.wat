;; Logs 10,000 lines of 64 KiB with a line break, an escape and a NUL.
;;! ends: converted
;;! says: more log lines were dropped
;;! limits: log_bytes = 20000

(memory (export "memory") 3)
(data (i32.const 16384) "a\0ab\1b[31m\00")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (local $n i32)
  (loop $l
    (call $log (i32.const 2) (i32.const 16384) (i32.const 65536) (i32.const 0) (i32.const 0))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $l (i32.lt_u (local.get $n) (i32.const 10000))))
  (call $drop_input (local.get $input))
  (i32.const 768))
