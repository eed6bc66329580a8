;; Writes to a document that it has made up.
;;! ends: job trap
;;! says: unknown handle

(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $write (i32.const 123456) (i32.const 0) (i32.const 1) (i32.const 600))
  (call $drop_input (local.get $input))
  (i32.const 768))
