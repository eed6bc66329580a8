;; Spins while a document is open.
;;! ends: job timeout
;;! says: its limit of wall time
;;! limits: wall_seconds = 0.5

(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
  (call $write (i32.load (i32.const 516)) (i32.const 16384) (i32.const 10) (i32.const 512))
  (loop $l (br $l))
  unreachable)
