;; Gives its documents an empty name, one of 64 KiB, and media types that are none; traps where the host takes one.
;;! ends: converted

(memory (export "memory") 4)
(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "nonsense")
(data (i32.const 16420) "text/plain\0d\0aX-Header: 1")
;; Every name is of `x`s.
(func $refused (param $type i32) (param $type_length i32) (param $length i32)
  (memory.fill (i32.const 65536) (i32.const 120) (i32.const 65536))
  (call $create (local.get $type) (local.get $type_length) (i32.const 65536) (local.get $length) (i32.const 512))
  (if (i32.eqz (i32.load8_u (i32.const 512))) (then unreachable)))
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $refused (i32.const 16384) (i32.const 10) (i32.const 0))
  (call $refused (i32.const 16384) (i32.const 10) (i32.const 65536))
  (call $refused (i32.const 16400) (i32.const 8) (i32.const 5))
  (call $refused (i32.const 16400) (i32.const 0) (i32.const 5))
  (call $refused (i32.const 16420) (i32.const 23) (i32.const 5))
  (call $drop_input (local.get $input))
  (i32.const 768))
