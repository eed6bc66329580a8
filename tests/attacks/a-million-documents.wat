;; Makes a million documents.
;;! ends: job output_limit
;;! says: its limit `documents`
;;! limits: documents = 300

(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (local $n i32)
  (loop $l
    (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
    (if (i32.eqz (i32.load8_u (i32.const 512))) (then (call $finish (i32.load (i32.const 516)) (i32.const 600)) (call $drop_document (i32.load (i32.const 516)))))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $l (i32.lt_u (local.get $n) (i32.const 1000000))))
  (call $drop_input (local.get $input))
  (i32.const 768))
