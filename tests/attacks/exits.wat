;; Ends its process.
;;! ends: job trap
;;! says: ended its process with status 1

(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(func $convert (param $input i32) (param i32 i32) (result i32) (call $exit (i32.const 7)) unreachable)
