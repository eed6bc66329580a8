;; Keeps the input that it was lent.
;;! ends: job trap

(func $convert (param $input i32) (param i32 i32) (result i32) (i32.const 768))
