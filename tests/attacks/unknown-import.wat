;; Imports what no host gives.
;;! ends: load
;;! says: `env`

(import "env" "getenv" (func (param i32) (result i32)))
