;; Never says whether a file is its own.
;;! ends: probe
;;! says: its limit of wall time

(func $probe (param $input i32) (result i32) (loop $l (br $l)) unreachable)
