;; Divides by zero.
;;! ends: job trap
;;! says: integer divide by zero

(func $convert (param $input i32) (param i32 i32) (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
