;; Has an options schema that refers to itself.
;;! ends: load
;;! says: options cannot be recursive

(data (i32.const 16384) "{\"properties\":{\"a\":{\"$ref\":\"#\"}}}")
(func $describe (result i32)
  (i32.store (i32.const 1072) (i32.const 16384))
  (i32.store (i32.const 1076) (i32.const 33))
  (i32.const 1024))
