;; Calls itself for ever.
;;! ends: job trap
;;! says: used up its call stack
;;! says: (in `recurse_for_ever`)

(func $recurse_for_ever (call $recurse_for_ever))
(func $convert (param $input i32) (param i32 i32) (result i32) (call $recurse_for_ever) unreachable)
