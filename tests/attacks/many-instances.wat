;; Has 300 core instances.
;;! ends: load
;;! says: more instances than 256, its limit `instances`
;;! beside: 300 x (module)

