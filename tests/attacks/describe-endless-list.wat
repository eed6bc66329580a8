;; Has 2 million patterns, each empty: 16 MiB here, 48 MiB in a host that takes them.
;;! ends: load
;;! says: its limit `call_bytes`

(memory (export "memory") 300)
(func $describe (result i32)
  (i32.store (i32.const 1048) (i32.const 65536))
  (i32.store (i32.const 1052) (i32.const 2000000))
  (i32.const 1024))
