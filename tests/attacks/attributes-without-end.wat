;; Sets 64 KiB attributes until the host has no more room for them.
;;! ends: job output_limit
;;! says: the names, keys and attributes of all documents

(memory (export "memory") 4)
(data (i32.const 16384) "text/plain")
(data (i32.const 16400) "a.txt")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (local $n i32) (local $document i32)
  (loop $documents
    (call $create (i32.const 16384) (i32.const 10) (i32.const 16400) (i32.const 5) (i32.const 512))
    (local.set $document (i32.load (i32.const 516)))
    (local.set $n (i32.const 0))
    (loop $attributes
      (i32.store (i32.const 16416) (i32.add (local.get $n) (i32.const 0x21212121)))
      (i32.store8 (i32.const 16416) (i32.add (i32.const 33) (i32.and (local.get $n) (i32.const 15))))
      (i32.store8 (i32.const 16417) (i32.add (i32.const 33) (i32.shr_u (local.get $n) (i32.const 4))))
      (call $attribute (local.get $document) (i32.const 16416) (i32.const 2) (i32.const 65536) (i32.const 65536) (i32.const 600))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $attributes (i32.lt_u (local.get $n) (i32.const 200))))
    (br_if $documents (i32.eqz (i32.load8_u (i32.const 512)))))
  (call $drop_input (local.get $input))
  (i32.const 768))
