;; Spins in its start function, before any function of the contract is called.
;;! ends: load
;;! says: its `describe` failed: timeout

(func $run (loop $l (br $l)))
(start $run)
