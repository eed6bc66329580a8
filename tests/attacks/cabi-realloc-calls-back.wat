;; Calls the host while the host asks it for room.
;;! ends: job trap
;;! says: cannot leave component

(func $realloc (param i32 i32 i32 i32) (result i32)
  (call $log (i32.const 3) (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 0))
  (i32.const 65536))
