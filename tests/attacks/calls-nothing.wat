;; Calls an empty place of its table.
;;! ends: job trap

(table 1 funcref)
(type $nothing (func))
(func $convert (param $input i32) (param i32 i32) (result i32) (call_indirect (type $nothing) (i32.const 0)) unreachable)
