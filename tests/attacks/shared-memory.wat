;; Has a memory that threads would share, so that two runs could differ.
;;! ends: load
;;! says: threads must be enabled
;;! beside: 1 x (module (memory 1 2 shared))
