;; Finishes a document twice, and writes to it afterwards; traps where the host lets it.
;;! ends: converted

(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
  (call $finish (i32.load (i32.const 516)) (i32.const 600))
  (if (i32.load8_u (i32.const 600)) (then unreachable))
  (call $finish (i32.load (i32.const 516)) (i32.const 600))
  (if (i32.eqz (i32.load8_u (i32.const 600))) (then unreachable))
  (call $write (i32.load (i32.const 516)) (i32.const 0) (i32.const 1) (i32.const 600))
  (if (i32.eqz (i32.load8_u (i32.const 600))) (then unreachable))
  (call $drop_document (i32.load (i32.const 516)))
  (call $drop_input (local.get $input))
  (i32.const 768))
