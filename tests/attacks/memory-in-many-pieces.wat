;; Takes 80 MiB in ten memories, none of which is large.
;;! ends: load
;;! says: its limit `memory_bytes` is 67108864
;;! beside: 10 x (module (memory 128))

