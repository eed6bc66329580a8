;; Writes to its input.
;;! ends: job trap

(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $write (local.get $input) (i32.const 0) (i32.const 1) (i32.const 600))
  (call $drop_input (local.get $input))
  (i32.const 768))
