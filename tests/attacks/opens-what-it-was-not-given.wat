;; Opens files by every kind of name; traps where the host opens one.
;;! ends: converted

(data (i32.const 16500) "..")
(data (i32.const 16540) "/etc/passwd")
(data (i32.const 16580) "../../state/queue.db")
(data (i32.const 16620) "")
(data (i32.const 16660) "a.txt\00")
(data (i32.const 16700) "\5c\5cserver\5cshare")
;; The answer must be `not-found`, the second case of the error.
(func $absent (param $input i32) (param $name i32) (param $length i32)
  (call $open (local.get $input) (local.get $name) (local.get $length) (i32.const 512))
  (if (i32.eqz (i32.load8_u (i32.const 512))) (then unreachable))
  (if (i32.ne (i32.load8_u (i32.const 516)) (i32.const 1)) (then unreachable)))
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $absent (local.get $input) (i32.const 16500) (i32.const 2))
  (call $absent (local.get $input) (i32.const 16540) (i32.const 11))
  (call $absent (local.get $input) (i32.const 16580) (i32.const 20))
  (call $absent (local.get $input) (i32.const 16620) (i32.const 0))
  (call $absent (local.get $input) (i32.const 16660) (i32.const 6))
  (call $absent (local.get $input) (i32.const 16700) (i32.const 14))
  (call $drop_input (local.get $input))
  (i32.const 768))
