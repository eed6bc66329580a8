;; Reads the whole file when asked whether it is its own; traps if it gets more than 64 KiB.
;;! ends: probe

(func $probe (param $input i32) (result i32)
  (local $read i32)
  (loop $l
    (global.set $heap (i32.const 65536))
    (call $read (local.get $input) (i32.const -1) (i32.const 512))
    (if (i32.load8_u (i32.const 512)) (then unreachable))
    (local.set $read (i32.add (local.get $read) (i32.load (i32.const 520))))
    (br_if $l (i32.load (i32.const 520))))
  (if (i32.gt_u (local.get $read) (i32.const 65536)) (then unreachable))
  (call $drop_input (local.get $input))
  (i32.const 256))
