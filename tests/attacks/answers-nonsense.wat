;; Answers with a case that the contract does not have.
;;! ends: job trap

(func $convert (param $input i32) (param i32 i32) (result i32) (call $drop_input (local.get $input)) (i32.store8 (i32.const 776) (i32.const 77)) (i32.const 768))
