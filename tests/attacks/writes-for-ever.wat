;; Writes 100 GB, and takes no notice of what the host says.
;;! ends: job output_limit
;;! says: its limit `output_bytes`
;;! limits: output_bytes = 8388608

(memory (export "memory") 4)
(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (local $n i32)
  (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
  (loop $l
    (call $write (i32.load (i32.const 516)) (i32.const 65536) (i32.const 65536) (i32.const 600))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $l (i32.lt_u (local.get $n) (i32.const 20000))))
  (call $finish (i32.load (i32.const 516)) (i32.const 600))
  (call $drop_input (local.get $input))
  (i32.const 768))
