;; Writes a list of 4 GiB, of which it has 128 KiB.
;;! ends: job trap

(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
  (call $write (i32.load (i32.const 516)) (i32.const 0) (i32.const -1) (i32.const 512))
  (call $drop_input (local.get $input))
  (i32.const 768))
