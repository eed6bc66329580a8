;; Traps, in a function of its own.
;;! ends: job trap
;;! says: executed `unreachable`
;;! says: (in `deep_inside`)

(func $deep_inside unreachable)
(data (i32.const 16384) "about to fall")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $log (i32.const 3) (i32.const 16384) (i32.const 13) (i32.const 0) (i32.const 0))
  (call $deep_inside)
  unreachable)
