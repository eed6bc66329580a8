;; Takes memory when asked what it is.
;;! ends: load
;;! says: its limit `memory_bytes` is 67108864

(func $describe (result i32) (loop $l (drop (memory.grow (i32.const 16))) (br $l)) unreachable)
