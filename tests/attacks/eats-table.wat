;; Takes table elements until it gets no more.
;;! ends: job memory_limit
;;! says: its limit `table_elements` is 10000
;;! limits: table_elements = 10000

(table $t 1 funcref)
(func $convert (param $input i32) (param i32 i32) (result i32) (loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l)) unreachable)
