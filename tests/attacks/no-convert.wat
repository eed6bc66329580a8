;; Does not export `convert`.
;;! ends: load
;;! says: cannot be wrapped into a component

;; no export of dropforge:converter/converter@0.1.0#convert
