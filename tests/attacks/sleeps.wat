;; Waits for a clock.
;;! ends: job trap
;;! says: waiting for a clock is not available

(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
;; A subscription to the monotonic clock, 10^15 nanoseconds from now.
(func $convert (param $input i32) (param i32 i32) (result i32)
  (i32.store (i32.const 16400) (i32.const 1))
  (i64.store (i32.const 16408) (i64.const 1000000000000000))
  (drop (call $poll (i32.const 16384) (i32.const 16500) (i32.const 1) (i32.const 16600)))
  (call $drop_input (local.get $input))
  (i32.const 768))
