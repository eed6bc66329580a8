;; Traps when asked whether a file is its own.
;;! ends: probe
;;! says: (in `probe`)

(func $probe (param $input i32) (result i32) unreachable)
