;; Reads outside of its memory.
;;! ends: job trap
;;! says: reached outside of its memory

(func $convert (param $input i32) (param i32 i32) (result i32) (i32.load (i32.const -4)))
