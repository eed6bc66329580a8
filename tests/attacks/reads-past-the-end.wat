;; Reads after the end, and where there never was anything; traps where the host gives a byte.
;;! ends: converted

;; Reads at an offset: the answer must be `ok` and empty.
(func $nothing_at (param $input i32) (param $offset i64)
  (call $seek (local.get $input) (local.get $offset) (i32.const 512))
  (if (i32.load8_u (i32.const 512)) (then unreachable))
  (call $read (local.get $input) (i32.const -1) (i32.const 512))
  (if (i32.load8_u (i32.const 512)) (then unreachable))
  (if (i32.load (i32.const 520)) (then unreachable)))
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $nothing_at (local.get $input) (call $size (local.get $input)))
  (call $nothing_at (local.get $input) (i64.const 9223372036854775807))
  (call $nothing_at (local.get $input) (i64.const -1))
  (call $drop_input (local.get $input))
  (i32.const 768))
