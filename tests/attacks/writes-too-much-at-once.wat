;; Writes 2 MiB in one call.
;;! ends: job memory_limit
;;! says: 1048576 bytes, its limit `call_bytes`
;;! limits: call_bytes = 1048576

(memory (export "memory") 40)
(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
  (call $write (i32.load (i32.const 516)) (i32.const 0) (i32.const 2097152) (i32.const 512))
  (call $drop_input (local.get $input))
  (i32.const 768))
