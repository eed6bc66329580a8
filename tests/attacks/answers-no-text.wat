;; Skips for a reason that is no UTF-8.
;;! ends: job trap

(data (i32.const 16384) "\ff\fe")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $drop_input (local.get $input))
  (i32.store8 (i32.const 776) (i32.const 1))
  (i32.store (i32.const 784) (i32.const 16384))
  (i32.store (i32.const 788) (i32.const 2))
  (i32.const 768))
