;; Takes memory when asked whether a file is its own.
;;! ends: probe
;;! says: its limit `memory_bytes` is 50331648

(func $probe (param $input i32) (result i32) (loop $l (drop (memory.grow (i32.const 16))) (br $l)) unreachable)
