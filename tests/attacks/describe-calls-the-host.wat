;; Makes a document when asked what it is; the host says no, and it traps over that.
;;! ends: load
;;! says: its `describe` failed: trap

(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $describe (result i32)
  (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
  (if (i32.load8_u (i32.const 512)) (then unreachable))
  (i32.const 1024))
