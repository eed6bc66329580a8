;; Calls itself `../../evil`.
;;! ends: load
;;! says: its descriptor breaks the contract
;;! says: ../../evil

(data (i32.const 16384) "../../evil")
(func $describe (result i32)
  (i32.store (i32.const 1024) (i32.const 16384))
  (i32.store (i32.const 1028) (i32.const 10))
  (i32.const 1024))
