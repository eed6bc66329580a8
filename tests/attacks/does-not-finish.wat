;; Says `converted`, and has a document that it wrote to and did not finish.
;;! ends: job bad_output
;;! says: a.txt

(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
  (call $write (i32.load (i32.const 516)) (i32.const 16384) (i32.const 10) (i32.const 600))
  (call $drop_input (local.get $input))
  (i32.const 768))
