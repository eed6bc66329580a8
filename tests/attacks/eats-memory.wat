;; Takes memory until it gets no more.
;;! ends: job memory_limit
;;! says: its limit `memory_bytes` is 33554432
;;! limits: memory_bytes = 33554432

(func $convert (param $input i32) (param i32 i32) (result i32) (loop $l (drop (memory.grow (i32.const 16))) (br $l)) unreachable)
