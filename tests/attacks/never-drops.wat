;; Begins 200,000 documents and drops none.
;;! ends: job memory_limit
;;! says: its limit `handles`
;;! limits: documents = 1000000, handles = 200

(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (local $n i32)
  (loop $l
    (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $l (i32.lt_u (local.get $n) (i32.const 200000))))
  (call $drop_input (local.get $input))
  (i32.const 768))
