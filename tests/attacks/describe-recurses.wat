;; Uses up its call stack when asked what it is.
;;! ends: load
;;! says: used up its call stack

(func $describe (result i32) (call $describe))
