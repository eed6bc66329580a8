;; Has an options schema that is to be fetched from a server.
;;! ends: load
;;! says: it refers to `http://127.0.0.1:1/schema`

(data (i32.const 16384) "{\"$ref\": \"http://127.0.0.1:1/schema\"}")
(func $describe (result i32)
  (i32.store (i32.const 1072) (i32.const 16384))
  (i32.store (i32.const 1076) (i32.const 37))
  (i32.const 1024))
