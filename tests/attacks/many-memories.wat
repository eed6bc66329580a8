;; Has 20 linear memories.
;;! ends: load
;;! says: more memories than 16, its limit `memories`
;;! beside: 20 x (module (memory 1))

