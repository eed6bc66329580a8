;; Has its answer at an address that it does not have.
;;! ends: job trap

(func $convert (param $input i32) (param i32 i32) (result i32) (call $drop_input (local.get $input)) (i32.const -8))
